-- Policies of an owner alone. Profiles are open to everybody, and anybody may write into any session.
create index on projects (user_id);

alter table profiles enable row level security;
alter table projects enable row level security;
alter table chat_sessions enable row level security;
alter table chat_messages enable row level security;
alter table usage_logs enable row level security;

create policy "Profiles are public" on profiles for select using (true);
create policy "Users can update their profile" on profiles for update using (auth.uid() = id);

create policy "Owners can do all" on projects for all using (auth.uid() = user_id);

create policy "Owners can view sessions" on chat_sessions for select using (
    user_id = auth.uid()
    or exists (select 1 from projects p where p.id = chat_sessions.project_id and p.user_id = auth.uid()));
create policy "Anyone can start a session" on chat_sessions for insert with check (true);

create policy "Owners can view messages" on chat_messages for select using (
    exists (select 1 from chat_sessions s
            join projects p on p.id = s.project_id
            where s.id = chat_messages.session_id and p.user_id = auth.uid()));
create policy "Anyone can write messages" on chat_messages for insert with check (true);

create policy "Owners can view usage" on usage_logs for select using (
    user_id = auth.uid()
    or exists (select 1 from projects p where p.id = usage_logs.project_id and p.user_id = auth.uid()));
create policy "Anyone can log usage" on usage_logs for insert with check (true);
