//! Questions and answers as the messages of im-repo say them.

use gochat_core::conversation::Settings;
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::membership::Role;
use gochat_core::message::{Emoji, MessageType, Tally, Target};
use gochat_core::sequence::{ClientKey, Head, Recorded};
use gochat_core::step::{Excerpt, Facts, Found, Loaded, Looked, Members, Need, Standing};
use gochat_proto::im::repo::v1::{
    ConversationFacts, FactsQuery, MemberFact, ReactorFact, ReactorQuery, RecentMessage,
    ResendQuery, TargetFact,
};
use hashbrown::{HashMap, HashSet};

use super::{Question, Resend};

/// Resends looked for in one conversation and batch; more are refused, retryably.
const RESENDS: usize = 10_000;
/// Messages to be changed that are looked up in one conversation and batch; with more, all changes of unknown messages
/// are refused, retryably.
const TARGETS: usize = 10_000;
/// Authors and named users that are looked up in one conversation and batch; messages of more are
/// refused, retryably.
const SENDERS: usize = 10_000;

/// Users whose membership is asked for.
fn senders(need: &Need) -> impl Iterator<Item = &UserId> {
    need.senders.iter().chain(&need.named).take(SENDERS)
}

pub(super) fn query(asked: &Question<'_>) -> FactsQuery {
    let Question { need, resends } = asked;
    let resends = resends.iter().take(RESENDS).map(|resend| ResendQuery {
        sender_id: resend.key.sender.to_string(),
        client_msg_id: resend.client_msg_id.to_owned(),
        is_change: resend.is_change,
    });
    let targets = need.targets.iter().take(TARGETS);
    let reactors = need.reactors.iter().take(TARGETS);
    FactsQuery {
        conversation_id: need.conversation.to_string(),
        sender_ids: senders(need).map(ToString::to_string).collect(),
        with_recent: need.with_recent,
        resends: resends.collect(),
        target_ids: targets.map(|id| id.as_i64()).collect(),
        reactors: reactors.map(reactor).collect(),
        quote_ids: need
            .quotes
            .iter()
            .take(TARGETS)
            .map(|id| id.as_i64())
            .collect(),
        without_members: !need.with_facts,
    }
}

pub(super) fn loaded(asked: &Question<'_>, facts: ConversationFacts, recall_window: u64) -> Loaded {
    let head = Head {
        seq: u64::try_from(facts.last_seq_id).unwrap_or(0),
        rev: u64::try_from(facts.last_rev).unwrap_or(0),
    };
    let recent = facts.recent.iter().filter_map(recorded).collect();
    Loaded {
        head,
        recent,
        resends: looked(&asked.resends, &facts),
        named: named(&asked.need, &facts),
        targets: targets(&asked.need, &facts),
        facts: (facts.found && asked.need.with_facts)
            .then(|| facts_from(&asked.need, &facts, recall_window)),
        keeps_facts: facts.found && !asked.need.with_facts,
    }
}

/// Which of the users that are named are members.
fn named(need: &Need, facts: &ConversationFacts) -> Vec<(UserId, bool)> {
    if need.named.is_empty() || facts.members_complete {
        return Vec::new();
    }
    let members = facts.members.iter().filter_map(|m| m.user_id.parse().ok());
    let members: HashSet<UserId> = members.collect();
    let asked = senders(need).skip(need.senders.len());
    asked.map(|user| (*user, members.contains(user))).collect()
}

fn reactor((message, user): &(MessageId, UserId)) -> ReactorQuery {
    ReactorQuery {
        message_id: message.as_i64(),
        user_id: user.to_string(),
    }
}

/// `None` when nobody looked for all of them: im-repo is of a version without changes, reactions,
/// pins or quotes, or too many were asked for.
fn targets(need: &Need, facts: &ConversationFacts) -> Option<Found> {
    let most = need.targets.len().max(need.reactors.len());
    let few = most.max(need.quotes.len()) <= TARGETS;
    let knows_quotes = facts.quotes_answered || need.quotes.is_empty();
    let knows_reactions = facts.reactions_answered && knows_quotes;
    let is_answered = facts.targets_answered && (knows_reactions || !facts.found);
    (few && is_answered).then(|| Found {
        messages: facts.targets.iter().filter_map(target).collect(),
        excerpts: facts.targets.iter().filter_map(excerpt).collect(),
        own: facts.reactors.iter().filter_map(own).collect(),
        pins: u32::try_from(facts.pinned_count).unwrap_or(0),
    })
}

fn own(fact: &ReactorFact) -> Option<(MessageId, UserId, Vec<Emoji>)> {
    let id = MessageId::new(u64::try_from(fact.message_id).ok()?)?;
    let emoji = fact.emoji.iter().filter_map(|text| text.parse().ok());
    Some((id, fact.user_id.parse().ok()?, emoji.collect()))
}

/// `None` for a message that isn't quoted, and for an answer of an im-repo of before quotes.
fn excerpt(fact: &TargetFact) -> Option<(MessageId, Excerpt)> {
    let id = MessageId::new(u64::try_from(fact.message_id).ok()?)?;
    let excerpt = Excerpt {
        kind: fact.message_type,
        edits: u32::try_from(fact.edit_count).ok()?,
        text: fact.excerpt.as_str().into(),
    };
    (fact.message_type != 0).then_some((id, excerpt))
}

fn target(fact: &TargetFact) -> Option<(MessageId, Target)> {
    let id = MessageId::new(u64::try_from(fact.message_id).ok()?)?;
    let seq = u64::try_from(fact.seq_id).ok()?;
    let sent_at = u64::try_from(fact.created_at).ok()?.saturating_mul(1000);
    let counts = fact.reactions.iter().map(|r| (r.emoji.as_str(), r.count));
    let target = Target {
        recalled: fact.deleted,
        edits: u32::try_from(fact.edit_count).ok()?,
        pinned: fact.pinned,
        reactions: counts.collect::<Tally>(),
        system: fact.message_type == MessageType::System.as_i32(),
        ..Target::new(seq, fact.sender_id.parse().ok()?, sent_at)
    };
    Some((id, target))
}

/// Nothing when im-repo is of a version that doesn't look for resends: they are refused then, retryably, and another
/// instance may know.
fn looked(asked: &[Resend<'_>], facts: &ConversationFacts) -> Vec<Looked> {
    let is_answered = facts.resends_answered || !facts.found;
    if asked.is_empty() || !is_answered {
        return Vec::new();
    }
    let found = facts.resends.iter().filter_map(recorded);
    let found: HashMap<ClientKey, Recorded> = found.map(|row| (row.key, row)).collect();
    let of = |resend: &Resend<'_>| Looked {
        key: resend.key,
        found: found.get(&resend.key).copied(),
    };
    asked.iter().take(RESENDS).map(of).collect()
}

fn facts_from(need: &Need, facts: &ConversationFacts, recall_window: u64) -> Facts {
    let kind = need.conversation.kind();
    let settings = Settings::parse(kind, &facts.settings).unwrap_or_else(|error| {
        tracing::warn!(conversation = %need.conversation, %error, "stored settings can't be read: defaults rule");
        Settings::defaults(kind)
    });
    Facts {
        dissolved: facts.dissolved,
        mute_all: settings.group().mute_all,
        blocked: facts.blocked,
        guests_allowed: guests_allowed(&settings),
        messages_per_minute: messages_per_minute(&settings),
        recall_window: settings.recall_window(recall_window),
        hides_earlier: settings.hides_earlier_from(Role::Member),
        members_pin: settings.members_pin(),
        members_mention_all: settings.members_mention_all(),
        slow_mode: settings.slow_mode(),
        keeps_former_texts: settings.keeps_former_texts(),
        system_messages: settings.system_messages(),
        reactions: settings.reactions(),
        members: members(need, facts),
    }
}

fn guests_allowed(settings: &Settings) -> bool {
    match settings {
        Settings::World(world) => world.guest_allowed,
        _ => true,
    }
}

fn messages_per_minute(settings: &Settings) -> u32 {
    match settings {
        Settings::World(world) => world.message_rate_limit,
        _ => 0,
    }
}

fn members(need: &Need, facts: &ConversationFacts) -> Members {
    let standings = facts.members.iter().filter_map(standing);
    // Both lists are ascending. Who is only named is not remembered.
    let is_author = |standing: &Standing| need.senders.binary_search(&standing.user).is_ok();
    match need.conversation {
        ConversationId::Group(_) if facts.members_complete => Members::all(standings),
        ConversationId::Group(_) => {
            let asked = &need.senders[..need.senders.len().min(SENDERS)];
            Members::asked(asked, standings.filter(is_author))
        }
        _ => Members::Implicit,
    }
}

fn standing(fact: &MemberFact) -> Option<Standing> {
    let until = u64::try_from(fact.muted_until)
        .unwrap_or(0)
        .saturating_mul(1000);
    Some(Standing {
        user: fact.user_id.parse().ok()?,
        privileged: Role::from_i32(fact.role)? >= Role::Admin,
        muted_until: match (fact.muted, until) {
            (false, _) => 0,
            (true, 0) => Standing::FOREVER,
            (true, until) => until,
        },
    })
}

/// `None` for rows without a client id: nothing can repeat them.
fn recorded(message: &RecentMessage) -> Option<Recorded> {
    if message.client_msg_id.is_empty() {
        return None;
    }
    let (sender, id) = (message.sender_id.parse().ok()?, &message.client_msg_id);
    Some(Recorded {
        key: match message.is_change {
            true => ClientKey::of_change(sender, id),
            false => ClientKey::new(sender, id),
        },
        message_id: message.message_id.parse().ok()?,
        seq: u64::try_from(message.seq_id).ok()?,
        rev: u64::try_from(message.rev).ok()?,
        at: u64::try_from(message.created_at).ok()?.saturating_mul(1000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user: u64, role: i32, muted: bool, muted_until: i64) -> MemberFact {
        MemberFact {
            user_id: user.to_string(),
            role,
            muted,
            muted_until,
        }
    }

    #[test]
    fn a_mute_has_an_end_or_none() {
        let read = |muted, until| standing(&member(1, 1, muted, until)).unwrap().muted_until;
        assert_eq!(read(false, 0), 0);
        assert_eq!(read(true, 0), Standing::FOREVER);
        assert_eq!(read(true, 1_700_000_000), 1_700_000_000_000);
    }

    #[test]
    fn a_list_that_is_not_complete_answers_for_the_asked_only() {
        let conversation: ConversationId = "g_5".parse().unwrap();
        let user = |n| UserId::new(n).unwrap();
        let need = Need {
            conversation,
            with_recent: true,
            with_facts: true,
            refresh: false,
            resends: vec![],
            targets: vec![],
            reactors: vec![],
            senders: vec![user(1), user(2)],
            named: vec![],
            quotes: vec![],
        };
        let asked = Question {
            need,
            resends: vec![],
        };
        let mut answer = ConversationFacts {
            found: true,
            members: vec![member(1, 3, false, 0)],
            settings: r#"{"group_settings":{"mute_all":true}}"#.into(),
            ..Default::default()
        };
        let facts = loaded(&asked, answer.clone(), 0).facts.unwrap();
        assert!(facts.mute_all);
        assert!(
            facts.covers(conversation, user(2)),
            "known not to be a member"
        );
        assert!(!facts.covers(conversation, user(3)), "nobody asked");
        answer.members_complete = true;
        let facts = loaded(&asked, answer, 0).facts.unwrap();
        assert_eq!(facts.members.list(), Some(&[user(1)][..]));
    }

    #[test]
    fn named_users_are_asked_for_and_not_remembered() {
        let conversation: ConversationId = "g_5".parse().unwrap();
        let user = |n| UserId::new(n).unwrap();
        let need = Need {
            conversation,
            with_recent: true,
            with_facts: true,
            refresh: false,
            resends: vec![],
            targets: vec![],
            reactors: vec![],
            senders: vec![user(1)],
            named: vec![user(2), user(3)],
            quotes: vec![],
        };
        let asked = Question {
            need,
            resends: vec![],
        };
        assert_eq!(query(&asked).sender_ids, ["1", "2", "3"]);
        let answer = ConversationFacts {
            found: true,
            members: vec![member(1, 1, false, 0), member(2, 1, false, 0)],
            ..Default::default()
        };
        let loaded = loaded(&asked, answer, 0);
        assert_eq!(loaded.named, [(user(2), true), (user(3), false)]);
        let facts = loaded.facts.unwrap();
        assert!(facts.covers(conversation, user(1)) && !facts.covers(conversation, user(2)));
    }

    #[test]
    fn a_conversation_that_is_not_found_has_no_facts() {
        let conversation: ConversationId = "g_5".parse().unwrap();
        let need = Need {
            conversation,
            with_recent: true,
            with_facts: true,
            refresh: false,
            resends: vec![0, 1],
            targets: vec![],
            reactors: vec![],
            senders: vec![],
            named: vec![],
            quotes: vec![],
        };
        let asked = Question {
            need,
            resends: vec![],
        };
        let answer = ConversationFacts {
            last_seq_id: -4,
            ..Default::default()
        };
        let expected = Loaded::default();
        assert_eq!(loaded(&asked, answer, 0), expected);
    }

    #[test]
    fn resends_are_looked_up_by_author_and_id_and_only_where_im_repo_knows_how() {
        let author = UserId::new(1).unwrap();
        let resend = |client_msg_id| Resend {
            key: ClientKey::new(author, client_msg_id),
            client_msg_id,
            is_change: false,
        };
        let asked = Question {
            need: Need {
                conversation: ConversationId::World,
                with_recent: false,
                with_facts: true,
                refresh: false,
                resends: vec![0, 1],
                targets: vec![],
                reactors: vec![],
                senders: vec![],
                named: vec![],
                quotes: vec![],
            },
            resends: vec![resend("a"), resend("b")],
        };
        let row = |sender: &str| RecentMessage {
            sender_id: sender.into(),
            client_msg_id: "a".into(),
            message_id: "9".into(),
            seq_id: 4,
            created_at: 7,
            ..Default::default()
        };
        let mut answer = ConversationFacts {
            found: true,
            resends: vec![row("1"), row("2")],
            resends_answered: true,
            ..Default::default()
        };
        let looked = loaded(&asked, answer.clone(), 0).resends;
        assert_eq!(
            looked[0].found.map(|row| (row.seq, row.at)),
            Some((4, 7_000))
        );
        assert_eq!((looked[1].key, looked[1].found), (resend("b").key, None));
        answer.resends_answered = false;
        assert!(loaded(&asked, answer, 0).resends.is_empty());
    }
}
