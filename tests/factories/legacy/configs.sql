-- Settings of a bot as people write them: flat and nested, camelCase and snake_case, numbers as strings. Dropped at the
-- end of the making.
create function legacy_config(n int) returns jsonb language sql immutable as $$
    select case n % 8
        when 0 then '{"model": "gpt-4o", "temperature": 0.3, "system_prompt": "You help customers.",
                      "voice_provider": "openai", "voice_id": "alloy"}'
        when 1 then '{"llm": {"provider": "openai", "model": "gpt-4o-mini", "temperature": 0.9},
                      "voice": {"provider": "elevenlabs", "voiceId": "rachel", "speed": 1.1},
                      "systemPrompt": "You answer briefly."}'
        when 2 then '{"llmModel": "claude-3-5-sonnet", "llmProvider": "anthropic", "temperature": "0.5",
                      "prompt": "Du antwortest auf Deutsch: höflich, kurz."}'
        when 3 then '{}'
        when 4 then '{"model": "gpt-4", "theme": {"color": "#0af"}, "greeting": "Hi! \ud83d\udc4b"}'
        when 5 then '{"settings": {"llm_model": "gpt-4o", "maxTokens": "512"}, "systemPrompt": "Be kind."}'
        when 6 then '{"model": "gemini-1.5-pro", "provider": "google", "temperature": 1, "voice": "nova",
                      "knowledgeBaseIds": []}'
        else '{"llm_provider": "openai", "llm_model": "gpt-4o-mini", "temperature": "0.70", "top_p": null}'
    end::jsonb
$$;
