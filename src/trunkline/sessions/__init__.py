"""Sessions, their messages, the turns that make them, and the window that the model sees."""
