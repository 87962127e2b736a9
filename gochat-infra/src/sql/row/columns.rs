//! Column lists.

/// Column lists that match the [`FromRow`] of their type, for `concat!`: the argument is the alias
/// of the table.
macro_rules! columns {
    (user $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".username, ",
            $a,
            ".avatar_url, ",
            $a,
            ".is_guest, ",
            $a,
            ".status, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at, ",
            $a,
            ".version, ",
            $a,
            ".added_by"
        )
    };
    (brief $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".username, ",
            $a,
            ".avatar_url, ",
            $a,
            ".is_guest"
        )
    };
    (conversation $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".name, ",
            $a,
            ".avatar_url, ",
            $a,
            ".description, ",
            $a,
            ".owner_id, ",
            $a,
            ".member_count, ",
            $a,
            ".settings, ",
            $a,
            ".last_message_id, ",
            $a,
            ".last_seq_id, ",
            $a,
            ".dissolved, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at, ",
            $a,
            ".version, ",
            columns!(last_rev $a),
            ", ",
            $a,
            ".pinned_count, ",
            columns!(announcement $a)
        )
    };
    (announcement $a:literal) => {
        concat!(
            $a,
            ".announcement, ",
            $a,
            ".announcement_version, ",
            $a,
            ".announcement_at, ",
            $a,
            ".announcement_by"
        )
    };
    // Rows from before changes have 0.
    (last_rev $a:literal) => {
        concat!(
            "CASE WHEN ",
            $a,
            ".last_rev > ",
            $a,
            ".last_seq_id THEN ",
            $a,
            ".last_rev ELSE ",
            $a,
            ".last_seq_id END"
        )
    };
    (member $a:literal) => {
        concat!(
            $a,
            ".conversation_id, ",
            $a,
            ".user_id, ",
            $a,
            ".role, ",
            $a,
            ".muted, ",
            $a,
            ".muted_until, ",
            $a,
            ".hidden, ",
            $a,
            ".joined_at, ",
            $a,
            ".updated_at"
        )
    };
    (message $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".conversation_id, ",
            $a,
            ".seq_id, ",
            $a,
            ".sender_id, ",
            $a,
            ".message_type, ",
            $a,
            ".content, ",
            $a,
            ".client_msg_id, ",
            $a,
            ".extra, ",
            $a,
            ".deleted, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at, ",
            $a,
            ".state_rev, ",
            $a,
            ".edited_at, ",
            $a,
            ".edit_count, ",
            $a,
            ".pinned, ",
            $a,
            ".reactions, ",
            $a,
            ".refs"
        )
    };
    // As a recent message; rows from before changes have a `rev` of 0.
    (recent_message $a:literal) => {
        concat!(
            $a,
            ".conversation_id, ",
            $a,
            ".sender_id, ",
            $a,
            ".client_msg_id, ",
            $a,
            ".id, ",
            $a,
            ".seq_id, ",
            columns!(rev $a),
            ", ",
            $a,
            ".created_at, 0"
        )
    };
    (rev $a:literal) => {
        concat!("CASE ", $a, ".rev WHEN 0 THEN ", $a, ".seq_id ELSE ", $a, ".rev END")
    };
    (recent_change $a:literal) => {
        concat!(
            $a,
            ".conversation_id, ",
            $a,
            ".sender_id, ",
            $a,
            ".client_msg_id, ",
            $a,
            ".message_id, ",
            $a,
            ".seq_id, ",
            $a,
            ".rev, ",
            $a,
            ".created_at, 1"
        )
    };
    (target $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".seq_id, ",
            $a,
            ".sender_id, ",
            $a,
            ".created_at, ",
            $a,
            ".deleted, ",
            $a,
            ".edit_count, ",
            $a,
            ".pinned, ",
            $a,
            ".reactions, ",
            $a,
            ".message_type"
        )
    };
    // As a message that is answered, without its content.
    (quoted $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".seq_id, ",
            $a,
            ".sender_id, ",
            $a,
            ".deleted, ",
            $a,
            ".edit_count, ",
            $a,
            ".created_at, ",
            $a,
            ".message_type"
        )
    };
    // As a message that changes meet.
    (stand $a:literal) => {
        concat!(
            $a,
            ".conversation_id, ",
            $a,
            ".seq_id, ",
            $a,
            ".id, ",
            $a,
            ".state_rev, ",
            $a,
            ".deleted, ",
            $a,
            ".edited_at, ",
            $a,
            ".edit_count, ",
            $a,
            ".pinned, ",
            $a,
            ".reactions"
        )
    };
    (reaction $a:literal) => {
        concat!($a, ".rev, ", $a, ".user_id, ", $a, ".emoji, ", $a, ".created_at")
    };
    (session) => {
        "id, user_id, device, client, address, created_at, last_used_at, expires_at, generation, \
         rotated_at, refresh_hash, ended_at, end_reason"
    };
    (invitation $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".conversation_id, ",
            $a,
            ".user_id, ",
            $a,
            ".inviter_id, ",
            $a,
            ".created_at, ",
            $a,
            ".expires_at"
        )
    };
    (link $a:literal) => {
        concat!(
            $a,
            ".code, ",
            $a,
            ".conversation_id, ",
            $a,
            ".creator_id, ",
            $a,
            ".max_uses, ",
            $a,
            ".used, ",
            $a,
            ".created_at, ",
            $a,
            ".expires_at"
        )
    };
    (own $a:literal) => {
        concat!(
            $a,
            ".version, ",
            $a,
            ".mute_until, ",
            $a,
            ".pinned, ",
            $a,
            ".archived, ",
            $a,
            ".marked_unread, ",
            $a,
            ".draft, ",
            $a,
            ".cleared_up_to, ",
            $a,
            ".hidden_count"
        )
    };
    (join_request $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".conversation_id, ",
            $a,
            ".user_id, ",
            $a,
            ".status, ",
            $a,
            ".text, ",
            $a,
            ".created_at, ",
            $a,
            ".changed_at, ",
            $a,
            ".expires_at"
        )
    };
    (request $a:literal) => {
        concat!(
            $a,
            ".id, ",
            $a,
            ".requester_id, ",
            $a,
            ".target_id, ",
            $a,
            ".status, ",
            $a,
            ".message, ",
            $a,
            ".requester_remarks, ",
            $a,
            ".mirrored, ",
            $a,
            ".created_at, ",
            $a,
            ".updated_at"
        )
    };
}
pub(crate) use columns;
