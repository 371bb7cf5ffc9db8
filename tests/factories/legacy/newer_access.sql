-- Policies that read well: each asks for membership. Run, those of organizations and of their members ask each other.
create index on organizations (owner_id);
create index on organization_members (user_id);
create index on bots (organization_id);
create index on usage_logs (bot_id);

alter table profiles enable row level security;
alter table organizations enable row level security;
alter table organization_members enable row level security;
alter table bots enable row level security;
alter table chat_sessions enable row level security;
alter table chat_messages enable row level security;
alter table usage_logs enable row level security;

create policy "Users can view their profile" on profiles for select using (auth.uid() = id);
create policy "Users can update their profile" on profiles for update using (auth.uid() = id);

create policy "Members can view organizations" on organizations for select using (
    owner_id = auth.uid()
    or exists (select 1 from organization_members m
               where m.organization_id = organizations.id and m.user_id = auth.uid()));
create policy "Owners can update organizations" on organizations for update using (owner_id = auth.uid());
create policy "Users can create organizations" on organizations for insert with check (owner_id = auth.uid());

create policy "Members can view members" on organization_members for select using (
    user_id = auth.uid()
    or exists (select 1 from organizations o
               where o.id = organization_members.organization_id and o.owner_id = auth.uid()));
create policy "Owners can add members" on organization_members for insert with check (
    exists (select 1 from organizations o
            where o.id = organization_members.organization_id and o.owner_id = auth.uid()));
create policy "Owners can remove members" on organization_members for delete using (
    exists (select 1 from organizations o
            where o.id = organization_members.organization_id and o.owner_id = auth.uid()));

create policy "Members can view bots" on bots for select using (
    exists (select 1 from organization_members m
            where m.organization_id = bots.organization_id and m.user_id = auth.uid()));
create policy "Members can create bots" on bots for insert with check (
    exists (select 1 from organization_members m
            where m.organization_id = bots.organization_id and m.user_id = auth.uid()));
create policy "Members can update bots" on bots for update using (
    exists (select 1 from organization_members m
            where m.organization_id = bots.organization_id and m.user_id = auth.uid()));

create policy "Members can view sessions" on chat_sessions for select using (
    user_id = auth.uid()
    or exists (select 1 from bots b
               join organization_members m on m.organization_id = b.organization_id
               where b.id = chat_sessions.bot_id and m.user_id = auth.uid()));
create policy "Anyone can start a session" on chat_sessions for insert with check (true);

create policy "Members can view messages" on chat_messages for select using (
    exists (select 1 from chat_sessions s
            join bots b on b.id = s.bot_id
            join organization_members m on m.organization_id = b.organization_id
            where s.id = chat_messages.session_id and m.user_id = auth.uid()));
create policy "Anyone can write messages" on chat_messages for insert with check (true);

create policy "Members can view usage" on usage_logs for select using (
    exists (select 1 from bots b
            join organization_members m on m.organization_id = b.organization_id
            where b.id = usage_logs.bot_id and m.user_id = auth.uid()));
create policy "Anyone can log usage" on usage_logs for insert with check (true);
