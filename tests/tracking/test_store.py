"""Where runs are kept."""

from pipeline.tracking import store


def test_a_password_is_taken_out_of_a_message():
    shown = store.without_password("POST https://me:secret@tracking.example/api failed; see https://example.org")
    assert shown == "POST https://tracking.example/api failed; see https://example.org"
