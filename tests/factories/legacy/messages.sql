-- Four messages in each session, of both generations.
insert into chat_messages (id, session_id, role, text, timestamp)
select md5('message ' || s.n || ' ' || m)::uuid,
       md5('session ' || s.n)::uuid,
       case m % 2 when 1 then 'user' else 'model' end,
       case m when 1 then 'Hello, do you ship to Zürich?'
              when 2 then 'Yes, within two days. 🚚'
              when 3 then 'What does it cost?' || repeat(' Really?', s.n % 4)
              else E'Nothing above 50 CHF.\n\n- Standard: 5 CHF\n- Express: 9 CHF' end,
       timestamptz '2024-02-01 06:00+00' + s.n * interval '29 hours' + m * interval '20 seconds'
from generate_series(1, 120) as s (n), generate_series(1, 4) m;
