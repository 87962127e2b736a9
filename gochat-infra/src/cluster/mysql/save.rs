//! Storing messages: the hot path of the database.
//!
//! A batch is sorted into the order of the table and stored with as few multi-row inserts as fit.
//! Normally nothing of it is there and that is all. When the server finds a place or an id taken,
//! what is stored is looked up and only the rest is inserted; a message whose id stands elsewhere
//! is stored as a copy of the id. Changes of messages follow, then heads, read pointers and hidden
//! chats with one statement each. Every refusal is an outcome; every error gives the whole transaction up.
//!
//! The inserts are plain ones: `INSERT IGNORE` would also ignore a text that is too long.

use gochat_core::ids::{ConversationId, ConversationKind, MessageId, Rev, SeqId, UnixMillis};
use hashbrown::{HashMap, HashSet};

use super::fault::{self, Class};
use super::owed_messages::owe;
use super::query::{
    At, Bind, Conn, Rows, binds, execute, execute_rows, execute_some, json_array, json_ids, rows,
    statements,
};
use super::{changes, mentions, reactions};
use crate::port::db::{DbError, DbResult, NewChange, NewMessage, SaveOutcome};
use crate::sql::batch::{self, Pending, Touched};
use crate::sql::mentions::column;
use crate::sql::row::columns;

const INSERT: Rows = Rows {
    head: "INSERT INTO messages (conversation_id, seq_id, id, sender_id, message_type, created_at, \
           updated_at, client_msg_id, content, extra, rev, changed_rev, refs) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    tail: "",
};
const INSERT_WIDTH: usize = 13;

// `data_updated_at` is the epoch when a message makes the row: nobody has edited it yet. Every change
// is news of a sync by `changed_at`; only one of the newest message, which the list shows, is
// activity. The seq is compared by all and must change last.
const BUMP: Rows = Rows {
    head: "INSERT INTO conversations (id, type, last_seq_id, last_message_id, created_at, \
           updated_at, last_rev, changed_at, data_updated_at, description, settings) VALUES ",
    row: "(?, ?, ?, ?, ?, ?, ?, ?, '1970-01-01', '', '')",
    tail: " ON DUPLICATE KEY UPDATE \
           last_message_id = IF(VALUES(last_seq_id) > last_seq_id, VALUES(last_message_id), last_message_id), \
           updated_at = IF(VALUES(last_seq_id) > last_seq_id OR (VALUES(last_seq_id) = last_seq_id \
               AND VALUES(last_rev) > GREATEST(last_rev, last_seq_id)), \
               GREATEST(updated_at, VALUES(updated_at)), updated_at), \
           last_rev = GREATEST(last_rev, VALUES(last_rev)), \
           changed_at = GREATEST(changed_at, VALUES(changed_at)), \
           last_seq_id = GREATEST(last_seq_id, VALUES(last_seq_id))",
};
const BUMP_WIDTH: usize = 8;

const READ_OWN: Rows = Rows {
    head: "INSERT INTO user_read_pointers (user_id, conversation_id, last_read_seq_id, updated_at) VALUES ",
    row: "(?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE \
           updated_at = IF(VALUES(last_read_seq_id) > last_read_seq_id, GREATEST(updated_at, VALUES(updated_at)), updated_at), \
           last_read_seq_id = GREATEST(last_read_seq_id, VALUES(last_read_seq_id))",
};
const READ_OWN_WIDTH: usize = 4;

statements! {
    ReadNext = "UPDATE user_read_pointers SET last_read_seq_id = ?3, \
                updated_at = GREATEST(updated_at, ?4) \
                WHERE user_id = ?1 AND conversation_id = ?2 AND last_read_seq_id = ?3 - 1";
    // ?1 [[conversation, seq], …]
    AtPlaces = "SELECT m.conversation_id, m.seq_id, m.id FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
            (conversation_id VARCHAR(64) PATH '$[0]', seq_id BIGINT PATH '$[1]')) j \
        STRAIGHT_JOIN messages m ON m.conversation_id = j.conversation_id COLLATE utf8mb4_bin \
            AND m.seq_id = j.seq_id";
    // ?1 [id, …]
    ByIds = "SELECT m.id FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN messages m ON m.id = j.id";
    // The id stands under another place: the message keeps it, told apart by the number of the
    // copy.
    InsertCopy = "INSERT INTO messages (conversation_id, seq_id, id, sender_id, message_type, created_at, \
        updated_at, client_msg_id, content, extra, rev, changed_rev, refs, id_copy) \
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?10, ?11, MAX(id_copy) + 1 FROM messages \
        WHERE id = ?3 HAVING COUNT(*) > 0";
    // ?1 [conversation, …]. The rows are locked: who numbers messages is alone.
    HeadRevs = concat!(
        "SELECT c.id, ", columns!(last_rev "c"), " FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) j \
         STRAIGHT_JOIN conversations c ON c.id = j.id COLLATE utf8mb4_bin FOR UPDATE"
    );
    Number = "UPDATE messages SET rev = ?3, changed_rev = ?3 \
        WHERE conversation_id = ?1 AND seq_id = ?2";
    // Few chats are hidden at any time; members are found by the conversation.
    ShowAgain = "UPDATE JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS \
            (id VARCHAR(64) PATH '$')) j \
        STRAIGHT_JOIN conversation_members m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
        SET m.hidden = 0, m.updated_at = GREATEST(m.updated_at, ?2) WHERE m.hidden = 1";
    HiddenOf = "SELECT m.conversation_id FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) j \
        STRAIGHT_JOIN conversation_members m ON m.conversation_id = j.id COLLATE utf8mb4_bin \
        WHERE m.hidden = 1";
}

/// How often a batch looks again because somebody stored one of its messages in between.
const ROUNDS: usize = 8;

/// Stores a batch and what follows from it.
pub(super) async fn store(
    conn: &mut Conn,
    (messages, changes, now): &(Vec<NewMessage>, Vec<NewChange>, UnixMillis),
) -> DbResult<Vec<SaveOutcome>> {
    let mut outcomes = vec![SaveOutcome::Stored; messages.len()];
    let Wanted { plain, mut copies } = distinct(messages, &mut outcomes);
    insert(conn, messages, plain, &mut copies, &mut outcomes).await?;
    insert_copies(conn, messages, copies, &mut outcomes).await?;
    mentions::insert(conn, messages, &outcomes).await?;
    let numbered = number(conn, messages, changes, &outcomes).await?;

    let mut pending = Pending::default();
    pending.at(*now);
    for (at, message) in messages.iter().enumerate() {
        if outcomes[at] != SaveOutcome::Conflict {
            let rev = numbered.get(&at).copied().unwrap_or(message.rev);
            pending.of(message.conversation_id).note(message, rev);
        }
    }
    if !changes.is_empty() {
        outcomes.extend(changes::store(conn, changes, &mut pending).await?);
    }
    let (touched, now) = pending.take();
    if !touched.is_empty() {
        follow(conn, &touched, now).await?;
    }
    Ok(outcomes)
}

/// Gives numbers to stored messages that came without one; returns the number of each.
async fn number(
    conn: &mut Conn,
    messages: &[NewMessage],
    changes: &[NewChange],
    outcomes: &[SaveOutcome],
) -> DbResult<HashMap<usize, Rev>> {
    let wanted = batch::unnumbered(messages, outcomes);
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ids: Vec<_> = wanted
        .iter()
        .map(|at| messages[*at].conversation_id)
        .collect();
    ids.dedup();
    let heads: Vec<(ConversationId, Rev)> =
        rows::<HeadRevs, _>(conn, &binds![json_ids(ids)]).await?;
    let numbered = batch::number(messages, wanted, changes, heads.into_iter().collect());
    for &(at, rev) in &numbered {
        let message = &messages[at];
        // No number stands for the seq.
        if rev != message.seq_id {
            let binds = binds![message.conversation_id, message.seq_id, rev];
            execute::<Number>(conn, &binds).await?;
        }
    }
    Ok(numbered.into_iter().collect())
}

/// Messages of a batch that are still to be stored.
#[derive(Default)]
struct Wanted {
    /// Those to be inserted as they are, in the order of the table.
    plain: Vec<usize>,
    /// Those whose id stands under another place.
    copies: Vec<usize>,
}

/// Judges the messages of one batch against each other; returns those to be inserted.
fn distinct(messages: &[NewMessage], outcomes: &mut [SaveOutcome]) -> Wanted {
    let mut places: HashMap<(ConversationId, SeqId), MessageId> = HashMap::new();
    let mut ids: HashSet<MessageId> = HashSet::new();
    let mut wanted = Wanted {
        plain: Vec::with_capacity(messages.len()),
        copies: Vec::new(),
    };
    for at in batch::order(messages) {
        let message = &messages[at];
        let place = (message.conversation_id, message.seq_id);
        match places.get(&place) {
            Some(id) if *id == message.id => outcomes[at] = SaveOutcome::Duplicate,
            Some(id) => outcomes[at] = refuse(message, *id),
            None => {
                places.insert(place, message.id);
                match ids.insert(message.id) {
                    true => wanted.plain.push(at),
                    false => wanted.copies.push(at),
                }
            }
        }
    }
    wanted
}

fn refuse(message: &NewMessage, stored: MessageId) -> SaveOutcome {
    batch::alert_place(message, stored);
    SaveOutcome::Conflict
}

/// Inserts the wanted messages that are not there yet.
async fn insert(
    conn: &mut Conn,
    messages: &[NewMessage],
    mut wanted: Vec<usize>,
    copies: &mut Vec<usize>,
    outcomes: &mut [SaveOutcome],
) -> DbResult<()> {
    let mut rounds = 0;
    while !wanted.is_empty() {
        // No statement holds more.
        let next = &wanted[..wanted.len().min(1_000)];
        let values = next.iter().flat_map(|&at| columns(&messages[at]));
        let values: Vec<Bind<'_>> = values.collect();
        match execute_some(conn, &INSERT, INSERT_WIDTH, &values).await {
            Ok(count) => {
                wanted.drain(..count);
            }
            // A statement that met a taken place stored nothing.
            Err(e) if fault::class(&e) == Class::Duplicate && rounds < ROUNDS => {
                rounds += 1;
                let rest = missing(conn, messages, &wanted, outcomes).await?;
                wanted = rest.plain;
                copies.extend(rest.copies);
            }
            Err(e) if fault::class(&e) == Class::Duplicate => {
                return Err(fault::with(Class::Contention, e.to_string()));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Inserts messages whose id stands under another place, unless they are there already.
async fn insert_copies(
    conn: &mut Conn,
    messages: &[NewMessage],
    copies: Vec<usize>,
    outcomes: &mut [SaveOutcome],
) -> DbResult<()> {
    if copies.is_empty() {
        return Ok(());
    }
    // Within the batch the places were compared already; another batch may have stored them.
    let there = at_places(conn, messages, &copies).await?;
    for at in copies {
        let message = &messages[at];
        match there.get(&(message.conversation_id, message.seq_id)) {
            Some(id) if *id == message.id => outcomes[at] = SaveOutcome::Duplicate,
            Some(id) => outcomes[at] = refuse(message, *id),
            None => {
                batch::alert_id(message);
                let values = binds![
                    message.conversation_id,
                    message.seq_id,
                    message.id,
                    message.sender_id,
                    message.message_type,
                    At(message.created_at),
                    message.client_msg_id.as_ref(),
                    &message.content,
                    message.extra.as_ref(),
                    message.rev,
                    column(message),
                ];
                match execute::<InsertCopy>(conn, &values).await {
                    Ok(0) => return Err(DbError::internal("a copy of a message was not stored")),
                    Ok(_) => {}
                    // Another batch stored a copy in between: the whole batch looks again.
                    Err(e) if fault::class(&e) == Class::Duplicate => {
                        return Err(fault::with(Class::Contention, e.to_string()));
                    }
                    Err(e) => return Err(e),
                }
            }
        }
    }
    Ok(())
}

fn columns(message: &NewMessage) -> [Bind<'_>; INSERT_WIDTH] {
    binds![
        message.conversation_id,
        message.seq_id,
        message.id,
        message.sender_id,
        message.message_type,
        At(message.created_at),
        At(message.created_at),
        message.client_msg_id.as_ref(),
        &message.content,
        message.extra.as_ref(),
        message.rev,
        message.rev,
        column(message),
    ]
}

/// Which of these messages' places are taken, and by which ids.
async fn at_places(
    conn: &mut Conn,
    messages: &[NewMessage],
    wanted: &[usize],
) -> DbResult<HashMap<(ConversationId, SeqId), MessageId>> {
    let pair = |at: &usize| {
        let message = &messages[*at];
        format!("[\"{}\",{}]", message.conversation_id, message.seq_id)
    };
    let places = json_array(wanted.iter().map(pair));
    let there: Vec<(ConversationId, SeqId, MessageId)> =
        rows::<AtPlaces, _>(conn, &binds![&places]).await?;
    Ok(there.into_iter().map(|(c, s, id)| ((c, s), id)).collect())
}

/// Looks the wanted messages up, judges those whose place is taken, returns the others.
async fn missing(
    conn: &mut Conn,
    messages: &[NewMessage],
    wanted: &[usize],
    outcomes: &mut [SaveOutcome],
) -> DbResult<Wanted> {
    let there = at_places(conn, messages, wanted).await?;
    let ids = json_array(wanted.iter().map(|at| messages[*at].id));
    let ids: Vec<MessageId> = rows::<ByIds, _>(conn, &binds![&ids]).await?;
    let ids: HashSet<MessageId> = ids.into_iter().collect();

    let mut rest = Wanted::default();
    for &at in wanted {
        let message = &messages[at];
        match there.get(&(message.conversation_id, message.seq_id)) {
            Some(id) if *id == message.id => outcomes[at] = SaveOutcome::Duplicate,
            Some(id) => outcomes[at] = refuse(message, *id),
            None if ids.contains(&message.id) => rest.copies.push(at),
            None => rest.plain.push(at),
        }
    }
    Ok(rest)
}

/// Writes heads, the authors' pointers and hidden chats, in the order of all transactions.
async fn follow(conn: &mut Conn, touched: &[Touched], now: UnixMillis) -> DbResult<()> {
    let heads = touched.iter().flat_map(|c| {
        let kind = c.id.kind() as i32;
        let text = c.text.as_str();
        let changed = At(if c.is_changed { now } else { 0 });
        binds![text, kind, c.head, c.last, At(now), At(now), c.rev, changed]
    });
    let heads: Vec<Bind<'_>> = heads.collect();
    execute_rows(conn, &BUMP, BUMP_WIDTH, &heads).await?;
    let pins = touched.iter().filter(|c| c.moves_pins).map(|c| c.id);
    reactions::count_pins(conn, pins).await?;

    let mut pointers = Vec::new();
    for conversation in touched {
        let mut authors: Vec<_> = conversation.authors.iter().collect();
        authors.sort_unstable();
        for (author, seq) in authors {
            pointers.extend(binds![*author, conversation.text.as_str(), *seq, At(now)]);
        }
    }
    execute_rows(conn, &READ_OWN, READ_OWN_WIDTH, &pointers).await?;
    for conversation in touched {
        for (author, seq) in &conversation.told {
            let text = conversation.text.as_str();
            execute::<ReadNext>(conn, &binds![*author, text, *seq, At(now)]).await?;
        }
        // The conversation's row is held, so the numbers follow the order of what is told.
        owe(conn, conversation.id, &conversation.owed, now).await?;
    }

    let singles = touched.iter().filter(|c| c.has_messages()).map(|c| c.id);
    let singles: Vec<_> = singles
        .filter(|id| id.kind() == ConversationKind::Single)
        .collect();
    if singles.is_empty() {
        return Ok(());
    }
    // Looked for without a lock first: hardly ever is there one.
    let hidden: Vec<ConversationId> = rows::<HiddenOf, _>(conn, &binds![json_ids(singles)]).await?;
    if !hidden.is_empty() {
        execute::<ShowAgain>(conn, &binds![json_ids(hidden), At(now)]).await?;
    }
    Ok(())
}
