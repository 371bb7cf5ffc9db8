"""Every attack of the list has tests, and docs/attacks.md says which. Run this file to write the document anew."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "attacks.md"

_MATRIX = "tests/attack/test_matrix.py::test_every_attack_on"
_CATALOGUE = "tests/attack/test_catalogue.py"
_CLAIMS = "tests/attack/test_claims.py"
_CONNECTIONS = "tests/attack/test_connections.py"
_FUNCTIONS = "tests/attack/test_functions.py"
_LOGIN = "tests/attack/test_login_role.py"
_ORACLES = "tests/attack/test_oracles.py"

ATTACKS: dict[str, tuple[str, ...]] = {
    "select, insert, update, delete of foreign rows": (
        _MATRIX,
        "tests/property/test_isolation_properties.py::test_no_sequence_of_one_changes_what_another_sees",
    ),
    "moving a row to another organization": (
        _MATRIX,
        "tests/integration/db/test_schema_rules.py::test_the_organization_never_changes_not_even_by_the_owner",
        f"{_CONNECTIONS}::test_a_member_of_two_organizations_sees_both_and_mixes_nothing",
    ),
    "upsert onto a foreign id": (_MATRIX,),
    "a child under a foreign parent": (_MATRIX, f"{_ORACLES}::test_a_foreign_key_tells_nothing"),
    "foreign-key oracles": (
        f"{_ORACLES}::test_a_foreign_key_tells_nothing",
        f"{_ORACLES}::test_naming_a_foreign_organization_tells_nothing",
    ),
    "unique-constraint oracles": (f"{_ORACLES}::test_a_unique_index_tells_nothing",),
    "TRUNCATE": (_MATRIX, f"{_CATALOGUE}::test_grants_are_of_rows_only"),
    "CREATE TRIGGER through grants": (_MATRIX, f"{_FUNCTIONS}::test_triggers_of_ours_do_what_they_are_named_for"),
    "plain views": (
        f"{_CATALOGUE}::test_there_is_no_view_past_the_policies",
        f"{_CATALOGUE}::test_a_view_past_the_policies_would_leak_and_be_found",
    ),
    "materialized views": (f"{_CATALOGUE}::test_a_view_past_the_policies_would_leak_and_be_found",),
    "definer functions and injection into them": (
        f"{_FUNCTIONS}::test_everybody_may_call_what_it_is_meant_to_and_no_more",
        f"{_FUNCTIONS}::test_a_definer_is_bound_by_policies_and_by_a_fixed_path",
        f"{_FUNCTIONS}::test_arguments_stay_values",
        f"{_FUNCTIONS}::test_keys_are_found_by_their_whole_hash_only",
    ),
    "search_path hijack of definers": (
        f"{_FUNCTIONS}::test_temporary_objects_do_not_turn_a_definer",
        f"{_FUNCTIONS}::test_the_hijack_would_work_without_pg_temp_in_the_path",
        f"{_CONNECTIONS}::test_a_temporary_table_does_not_stand_in_for_ours",
    ),
    "leaky functions in WHERE": (_MATRIX,),
    "EXPLAIN and statistics": (
        _MATRIX,
        f"{_CATALOGUE}::test_a_plan_shows_no_value_of_anybody_else",
        f"{_CATALOGUE}::test_statistics_show_no_values",
        f"{_CONNECTIONS}::test_what_others_run_is_hidden",
    ),
    "COPY (query) TO": (
        f"{_CONNECTIONS}::test_copy_takes_out_what_a_select_would_show",
        f"{_CONNECTIONS}::test_copy_and_files_are_out_of_reach",
    ),
    "sequences": (f"{_CATALOGUE}::test_sequences_are_out_of_reach",),
    "RETURNING": (_MATRIX, f"{_CLAIMS}::test_a_hidden_column_is_hidden_in_every_clause"),
    "claims that the user can edit": (_MATRIX, f"{_CLAIMS}::test_a_service_with_one_claim_wrong_sees_nothing"),
    "missing, empty, malformed claims; a swapped role": (
        f"{_CLAIMS}::test_broken_claims_show_nothing",
        f"{_CLAIMS}::test_no_claims_at_all_show_nothing",
        f"{_CLAIMS}::test_each_kind_counts_under_its_own_role_only",
        f"{_CLAIMS}::test_a_visitor_with_one_claim_wrong_sees_no_session",
    ),
    "session state surviving a pooler or a rollback": (
        f"{_CONNECTIONS}::test_after_commit_and_rollback_the_connection_is_nobody",
        f"{_CONNECTIONS}::test_a_plan_prepared_by_one_principal_serves_another_its_own_rows",
        f"{_CONNECTIONS}::test_a_setting_for_the_session_does_not_change_who_the_next_one_is",
        f"{_CONNECTIONS}::test_nothing_of_one_request_is_left_for_the_next",
    ),
    "direct access to partitions": (f"{_CATALOGUE}::test_every_table_of_ours_is_declared_and_forced",),
    "trigger functions that run as definer": (f"{_FUNCTIONS}::test_trigger_functions_cannot_be_called",),
    "private schemas and temporary objects": (
        f"{_CATALOGUE}::test_private_schemas_are_private",
        f"{_CATALOGUE}::test_nobody_creates_anything_beside_temporary_objects",
    ),
    "notify and realtime payloads": (f"{_CATALOGUE}::test_nothing_is_broadcast",),
    "BYPASSRLS, owner, forced policies off": (
        f"{_LOGIN}::test_a_role_that_is_not_bound_may_not_serve",
        f"{_LOGIN}::test_a_table_that_is_not_forced_may_not_be_served",
        f"{_CONNECTIONS}::test_row_security_cannot_be_turned_off",
        f"{_CONNECTIONS}::test_the_login_role_cannot_become_more",
    ),
    "removed member, member of two organizations, anonymous": (
        f"{_CONNECTIONS}::test_a_member_who_is_removed_sees_nothing_at_once",
        f"{_CONNECTIONS}::test_a_member_of_two_organizations_sees_both_and_mixes_nothing",
        f"{_CONNECTIONS}::test_two_owners_who_leave_at_once_leave_one",
        f"{_CONNECTIONS}::test_nobody_makes_itself_an_owner",
        _MATRIX,
    ),
    "JSON path filters": (f"{_CLAIMS}::test_paths_into_json_find_nothing_foreign",),
    "the same session handle on two websites": (
        f"{_CLAIMS}::test_the_same_handle_on_another_website_is_another_session",
    ),
    "default privileges of new objects": (
        f"{_CATALOGUE}::test_a_new_table_is_closed_whatever_the_hosts_default_privileges",
        "tests/attack/test_supabase.py::test_rights_are_those_of_anywhere",
    ),
}
"""The attacks in the order of their numbers, each with the tests that try it."""

_HEAD = """# Attacks on the database's isolation

Each is tried for every principal on every table where that makes sense. `tests/attack/expected.py` says by hand who may
do what; the matrix is generated from it and never from the policies under test. A denied cell has an allowed twin, and
`tests/attack/test_every_policy_matters.py` opens and drops each policy in turn and sees the matrix fail.

This table is written by `python -m tests.attack.test_attack_table`; a test keeps it true.

| # | attack | tried by |
|---:|---|---|
"""


def document() -> str:
    """The whole of docs/attacks.md."""
    rows = (
        f"| {number} | {attack} | {'<br>'.join(f'`{test}`' for test in tests)} |\n"
        for number, (attack, tests) in enumerate(ATTACKS.items(), start=1)
    )
    return _HEAD + "".join(rows)


def functions_of(file: str) -> set[str]:
    """The tests in a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_attack_is_tried_by_tests_that_exist() -> None:
    assert len(ATTACKS) == 29
    for attack, tests in ATTACKS.items():
        assert tests, attack
        for test in tests:
            file, _, name = test.partition("::")
            assert name in functions_of(file), test


def test_every_attack_test_is_in_the_table() -> None:
    """A file of attacks that the table forgets would be found here."""
    named = {test.partition("::")[0] for tests in ATTACKS.values() for test in tests}
    files = {f"tests/attack/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    about_the_tests = {"tests/attack/test_attack_table.py", "tests/attack/test_every_policy_matters.py"}
    assert files - named == about_the_tests


def test_the_document_says_so() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document()


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
