"""What agents may look up: knowledge bases, their sources and the chunks cut from them."""
