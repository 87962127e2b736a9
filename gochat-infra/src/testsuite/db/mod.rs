//! What every [`Database`](crate::port::db::Database) must do. Each public function is one fact; it gets a fresh, migrated
//! database.
//!
//! An adapter runs them all with [`db_suite!`](crate::db_suite).

mod announcements;
mod audit;
mod changes;
mod commands;
mod conversations;
mod departures;
mod facts;
mod friends;
mod group_invitations;
mod hidden_messages;
mod invitations;
mod join_requests;
mod keys;
mod links;
mod list;
mod members;
mod messages;
mod migrations;
mod owed_messages;
mod own_states;
mod places;
mod pointers;
mod receipts;
mod sessions;
mod users;

use std::sync::Arc;

use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, GroupId, MessageId, RequestId, SeqId, UnixMillis, UserId};

use crate::port::db::{
    Created, DbError, DbResult, NewConversation, NewMessage, NewUser, SharedDatabase, UserRow,
};

pub use announcements::*;
pub use audit::*;
pub use changes::*;
pub use commands::*;
pub use conversations::*;
pub use departures::*;
pub use facts::*;
pub use friends::*;
pub use group_invitations::*;
pub use hidden_messages::*;
pub use invitations::*;
pub use join_requests::*;
pub use keys::*;
pub use links::*;
pub use list::*;
pub use members::*;
pub use messages::*;
pub use migrations::*;
pub use owed_messages::*;
pub use own_states::*;
pub use places::*;
pub use pointers::*;
pub use receipts::*;
pub use sessions::*;
pub use users::*;

/// A database under test.
#[async_trait::async_trait]
pub trait DbSubject: Send + Sync {
    /// The database, fresh and migrated.
    fn db(&self) -> SharedDatabase;

    /// Statements it has run so far, when the adapter can tell.
    fn statements(&self) -> Option<u64>;

    /// Runs a statement beside the adapter: rows as another program left them.
    async fn run_sql(&self, sql: &str);
}

type Subject = Arc<dyn DbSubject>;

/// Some instant; tests count up from it.
const NOW: UnixMillis = 1_700_000_000_000;

fn user(n: u64) -> UserId {
    UserId::new(n).expect("a small id")
}

fn request_id(n: u64) -> RequestId {
    RequestId::new(n).expect("a small id")
}

fn single(a: u64, b: u64) -> ConversationId {
    ConversationId::single(user(a), user(b)).expect("two users")
}

fn group(n: u64) -> ConversationId {
    ConversationId::Group(GroupId::new(n).expect("a small id"))
}

async fn add_user(db: &SharedDatabase, n: u64) -> UserRow {
    let new = NewUser {
        id: user(n),
        username: format!("user{n}"),
        password_hash: format!("hash{n}"),
        avatar_url: String::new(),
        is_guest: false,
        now: NOW,
    };
    db.create_user(new).await.expect("a free name")
}

async fn add_guest(db: &SharedDatabase, n: u64, now: UnixMillis) -> UserRow {
    let new = NewUser {
        id: user(n),
        username: format!("guest_{n}"),
        password_hash: String::new(),
        avatar_url: String::new(),
        is_guest: true,
        now,
    };
    db.create_user(new).await.expect("a free name")
}

fn conversation(id: ConversationId, creator: u64, members: &[u64]) -> NewConversation {
    NewConversation {
        id,
        creator: user(creator),
        members: members.iter().copied().map(user).collect(),
        name: format!("name of {id}"),
        avatar_url: String::new(),
        description: String::new(),
        settings: String::new(),
        now: NOW,
    }
}

async fn open(db: &SharedDatabase, id: ConversationId, creator: u64, members: &[u64]) -> Created {
    db.create_conversation(conversation(id, creator, members))
        .await
        .expect("it can be made")
}

/// A message whose id follows from conversation and seq.
fn message(id: ConversationId, seq: SeqId, sender: u64) -> NewMessage {
    let salt = match id {
        ConversationId::World => 1,
        ConversationId::Group(g) => g.get() + 10,
        ConversationId::Single(a, b) => a.get() * 1_000 + b.get() * 31 + 100_000,
    };
    NewMessage {
        id: MessageId::new(salt * 1_000_000 + seq).expect("a small id"),
        conversation_id: id,
        seq_id: seq,
        sender_id: user(sender),
        message_type: 1,
        content: format!("text {seq}"),
        client_msg_id: Some(format!("c{seq}")),
        extra: None,
        created_at: NOW + seq,
        rev: seq,
        references: None,
    }
}

fn run_of(
    id: ConversationId,
    seqs: impl IntoIterator<Item = SeqId>,
    sender: u64,
) -> Vec<NewMessage> {
    seqs.into_iter()
        .map(|seq| message(id, seq, sender))
        .collect()
}

async fn save(db: &SharedDatabase, messages: Vec<NewMessage>, now: UnixMillis) {
    db.save_batch(messages, Vec::new(), now)
        .await
        .expect("messages are stored");
}

async fn unread(db: &SharedDatabase, who: u64, id: ConversationId) -> Option<u64> {
    let counts = db.unread_counts(user(who), &[id]).await.expect("counts");
    counts.first().map(|(_, count)| *count)
}

/// The code of a refusal.
fn code<T: std::fmt::Debug>(result: DbResult<T>) -> ErrorCode {
    let error: DbError = result.expect_err("a refusal");
    assert!(!error.is_retryable(), "a refusal is not retryable: {error}");
    error.code()
}

/// Makes a test of every fact of the suite; the argument is an expression for a future of an
/// `Arc<dyn DbSubject>`.
#[macro_export]
macro_rules! db_suite {
    ($make:expr) => {
        $crate::db_suite!(@tests $make;
            an_edit_keeps_the_text_before_it_where_it_says_so,
            a_recall_erases_what_was_kept,
            the_newest_twenty_former_texts_are_kept,
            an_announcement_is_edited_with_the_conversation,
            reading_an_announcement_counts_for_its_version,
            readers_of_an_announcement_are_paged_and_leave,
            reports_of_reading_at_once_end_at_the_newest,
            a_username_is_taken_once_whatever_its_spelling,
            of_two_creators_of_a_username_one_wins,
            a_name_that_looks_like_another_is_taken,
            a_name_is_found_in_every_normal_form,
            names_from_before_skeletons_are_completed,
            creating_a_user_again_returns_the_first_row,
            users_are_found_by_id_and_by_name,
            search_finds_parts_of_names_but_neither_the_caller_nor_guests,
            search_takes_wildcards_literally,
            a_search_goes_on_behind_the_last_name,
            updates_change_only_what_is_named,
            guests_have_no_password_hash,
            only_idle_guests_expire,
            a_new_group_has_an_owner_and_its_members,
            creating_a_single_chat_again_returns_the_first,
            racing_creators_of_a_single_chat_get_one_chat,
            world_exists_from_the_start,
            an_update_based_on_old_data_is_refused,
            new_messages_do_not_make_an_update_conflict,
            a_dissolved_group_keeps_its_rows_and_takes_no_changes,
            an_ended_friendship_is_told_to_both,
            relations_are_read_in_both_directions,
            a_refused_request_has_a_cool_down,
            invitations_are_bounded_and_end,
            accepting_an_invitation_makes_a_member,
            conversations_of_users_are_counted,
            a_command_is_judged_by_the_rows_it_meets,
            racing_commands_leave_exactly_one_owner,
            an_edit_of_an_older_version_is_refused,
            a_profile_edit_of_an_older_version_is_refused,
            adding_members_respects_the_capacity,
            racing_adders_never_overfill_a_group,
            removing_a_member_twice_counts_once,
            roles_and_mutes_are_kept,
            ownership_moves_only_from_the_owner,
            member_pages_neither_skip_nor_repeat,
            a_keyset_walk_survives_changes,
            members_of_many_are_cut_per_conversation,
            member_deltas_tell_changes_and_leavers,
            messages_are_stored_once,
            duplicates_within_a_batch_are_told,
            another_message_at_a_taken_place_is_refused_alone,
            messages_with_one_id_are_all_stored,
            the_head_moves_only_forward,
            racing_batches_leave_the_newest_head,
            a_message_without_a_conversation_row_is_not_lost,
            ranges_are_read_both_ways_within_their_bounds,
            paging_through_history_is_stable_while_messages_arrive,
            a_type_filter_reads_on,
            latest_messages_come_per_conversation,
            a_recalled_message_keeps_its_place_and_loses_its_content,
            authors_are_named_once,
            changes_are_stored_once,
            a_message_and_its_changes_share_a_batch,
            a_change_of_a_message_that_is_not_stored_is_refused_alone,
            an_edit_after_a_recall_keeps_the_content_empty,
            a_change_moves_the_list_only_with_the_newest_message,
            what_is_new_or_changed_is_read_in_pages,
            a_reader_who_pages_while_messages_change_misses_nothing,
            rows_from_before_changes_are_found_by_their_seq,
            a_message_without_a_number_gets_the_next_one,
            histories_in_any_pieces_end_in_the_same_rows,
            racing_writers_of_a_history_end_in_the_same_rows,
            reactions_are_stored_once,
            a_reaction_made_anew_has_a_new_number,
            a_message_is_edited_and_reacted_to,
            who_reacted_is_read_in_pages,
            own_reactions_are_told,
            facts_tell_reactors_and_pins,
            pins_are_listed_and_counted,
            a_recall_takes_reactions_and_the_pin_along,
            references_are_stored_once,
            unread_mentions_are_counted,
            a_recall_erases_references,
            quotes_show_the_present_state,
            facts_tell_quotes,
            facts_recognise_changes,
            facts_tell_targets,
            old_changes_are_forgotten,
            a_pointer_never_moves_back_under_concurrency,
            a_pointer_never_passes_the_head,
            who_writes_has_read,
            a_newcomer_starts_at_the_head,
            recalled_messages_keep_counting_until_read,
            strangers_have_no_unread_count,
            world_counts_only_after_it_was_opened,
            a_pointer_of_the_peer_is_in_the_list_and_its_sync,
            a_pointer_in_a_blocked_pair_is_no_news,
            a_pointer_that_the_settings_hide_is_no_news,
            pointers_of_members_are_listed,
            an_own_state_is_merged_and_listed,
            an_own_state_that_changed_is_in_the_sync,
            reading_ends_a_mark_as_unread,
            an_own_state_ends_with_the_membership,
            racing_pins_never_pass_the_limit,
            a_message_is_hidden_from_its_user_alone,
            hidden_messages_are_listed_by_version,
            a_cleared_conversation_begins_anew,
            racing_devices_count_what_went,
            what_went_ends_with_the_membership,
            the_list_is_one_statement,
            the_list_is_ordered_by_activity_and_cut_into_pages,
            the_list_shows_the_last_message_the_peer_and_the_unread_count,
            the_list_merges_world_and_filters_by_kind,
            a_hidden_chat_shows_again_with_the_next_message,
            incremental_sync_reports_changes_and_removals,
            removed_conversations_have_pages,
            the_list_tells_heads_of_the_same_moment,
            an_empty_page_still_knows_the_total,
            conversations_are_found_by_their_name_or_the_peers,
            heads_are_told_of_ones_own_conversations,
            a_walk_through_the_list_survives_changes,
            a_search_for_conversations_has_pages,
            a_changed_peer_is_in_the_sync,
            facts_answer_members_head_and_window,
            facts_are_answered_as_far_as_there_is_room,
            facts_find_resends_of_any_age,
            facts_leave_out_members_that_the_asker_knows,
            facts_of_a_large_group_hold_only_the_askers,
            facts_need_as_many_statements_for_many_as_for_one,
            facts_tell_blocks_and_absence,
            accepting_makes_friends_of_both,
            two_who_ask_each_other_at_once_make_one_request,
            only_the_target_answers_and_only_once,
            a_rejected_request_can_be_made_again,
            mirrors_are_not_listed_as_requests,
            friends_are_paged_and_synced,
            a_block_ends_a_friendship_and_stops_requests,
            requests_have_pages_and_are_synced,
            friend_deltas_tell_profiles_and_losses,
            blocked_users_are_listed_page_by_page,
            a_password_is_changed_by_who_judged_the_newest_one,
            a_deleted_account_keeps_its_row_and_its_name_until_it_is_released,
            a_deleted_account_is_in_no_living_group,
            an_addition_that_races_with_a_deletion_leaves_no_deleted_member,
            a_deleted_account_ends_friendships_and_requests,
            a_guest_becomes_an_account_once,
            a_disabled_account_has_no_live_sessions,
            a_session_is_made_only_for_an_account_in_use,
            of_two_that_present_one_token_both_get_its_successor,
            an_old_token_ends_its_session_only,
            a_refresh_after_the_end_opens_nothing,
            beyond_the_cap_the_least_recently_used_session_ends,
            ends_are_answered_again_while_tokens_live,
            ended_sessions_are_listed_in_pages_until_their_tokens_expired,
            of_racing_first_keys_one_stays,
            a_new_key_retires_the_one_before,
            a_key_retires_at_once_when_told_to,
            a_change_of_a_group_owes_its_message,
            a_change_that_is_refused_or_repeated_owes_nothing,
            who_brings_users_in_tells_it,
            a_group_that_tells_nothing_owes_nothing,
            owed_messages_are_listed_and_settled,
            numbers_of_owed_messages_are_never_given_again,
            a_system_message_is_read_by_who_had_read_all_before,
            a_pin_owes_one_message,
            audit_records_are_kept_once,
            audit_records_are_found,
            old_audit_records_are_deleted,
            a_code_is_used_as_often_as_it_may,
            a_link_makes_members_until_it_is_used_up,
            racing_users_of_a_link_never_exceed_its_uses,
            a_link_is_judged_by_the_group_it_meets,
            links_of_a_group_are_bounded_and_listed,
            a_revoked_link_admits_nobody,
            a_request_to_join_is_kept_once,
            requests_to_join_are_bounded_and_listed,
            an_accepted_request_makes_a_member,
            a_refused_request_changes_nothing_else,
            a_link_of_a_plain_member_asks_where_approval_is_needed,
            a_place_is_known_after_a_sign_in,
            places_of_a_user_are_bounded,
            migrations_go_up_down_and_up_again,
        );
    };
    (@tests $make:expr; $($fact:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                $crate::testsuite::db::$fact($make.await).await;
            }
        )*
    };
}
