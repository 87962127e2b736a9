//! Opening conversations.

use gochat_core::account::check_avatar_url;
use gochat_core::conversation::{Settings, decide_single_chat};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::friendship::{Pair, Person};
use gochat_core::ids::{ConversationId, ConversationKind, UserId};
use gochat_core::membership::{Candidate, GroupEvent, decide_create};
use gochat_core::text;
use gochat_proto::common::v1::{Conversation, ConversationType, User};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::info::subject;
use super::{consent, view};
use crate::app::App;
use crate::config::Limits;
use crate::repo::{People, is_active, person, present};

/// `CreateConversation`.
pub(crate) async fn create(
    app: &App,
    request: pb::CreateConversationRequest,
) -> Result<pb::CreateConversationResponse> {
    let creator = parse::user(&request.creator_id)?;
    let account = app.repo.actor(creator).await?;
    let others = parse::users(&request.member_ids)?;
    match ConversationKind::from_i32(request.r#type) {
        Some(ConversationKind::Single) => {
            let &[other] = others.as_slice() else {
                return Err(Error::new(
                    ErrorCode::InvalidParams,
                    "A single chat has exactly one other member.",
                ));
            };
            let (conversation, already_existed) = single(app, creator, &account, other).await?;
            Ok(pb::CreateConversationResponse {
                conversation: Some(conversation),
                already_existed,
            })
        }
        Some(ConversationKind::Group) => {
            let conversation = group(app, creator, &account, request, &others).await?;
            Ok(pb::CreateConversationResponse {
                conversation: Some(conversation),
                already_existed: false,
            })
        }
        _ => Err(Error::new(
            ErrorCode::InvalidParams,
            "Only types 1 and 2 can be created.",
        )),
    }
}

/// Opens the single chat of a pair, or finds it. True when it was there.
pub(crate) async fn single(
    app: &App,
    creator: UserId,
    account: &User,
    other: UserId,
) -> Result<(Conversation, bool)> {
    let people = app.repo.people(&[other]).await?;
    let pair = match other == creator {
        true => Pair::default(),
        false => app.repo.relation(creator, other).await?,
    };
    let me = Person {
        id: creator,
        is_guest: account.is_guest,
        active: true,
    };
    let id = decide_single_chat(me, person(other, &people), pair)?;
    let request = repo::CreateConversationRequest {
        r#type: ConversationType::Single as i32,
        member_ids: vec![creator.to_string(), other.to_string()],
        id: id.to_string(),
        settings: Settings::defaults(ConversationKind::Single).to_json(),
        ..Default::default()
    };
    let created = app.repo.create_conversation(request).await?;
    let conversation = present(created.conversation)?;
    if !created.already_existed {
        let events = [GroupEvent::Created {
            members: vec![creator, other],
        }];
        tell_created(app, &conversation, id, creator, &events).await?;
    }
    let conversation = view::seen_by(app, conversation, id, creator).await?;
    Ok((conversation, created.already_existed))
}

async fn group(
    app: &App,
    creator: UserId,
    account: &User,
    mut request: pb::CreateConversationRequest,
    others: &[UserId],
) -> Result<Conversation> {
    request.name = text::title(&request.name);
    request.description = text::optional(request.description);
    check_avatar_url(&request.avatar_url)?;
    let people = app.repo.people(others).await?;
    let candidates: Vec<_> = others
        .iter()
        .map(|id| candidate(*id, &people, false))
        .collect();
    let settings = first_settings(&app.limits, &request.settings_json)?;
    let plan = decide_create(
        creator,
        account.is_guest,
        &request.name,
        &request.description,
        &settings.group(),
        &candidates,
    )?;
    let told = u32::try_from(plan.members.len()).unwrap_or(u32::MAX);
    app.budgets.edit(creator, told.saturating_add(1)).await?;
    let consent = consent::sort(app, creator, &people, &plan.members).await?;
    if let Some(refused) = consent.failed.into_iter().next() {
        return Err(refused.error);
    }
    consent::has_room(app, creator).await?;
    let (invited, members): (Vec<UserId>, Vec<UserId>) = plan
        .members
        .iter()
        .partition(|user| consent.invited.contains(*user));
    let mut events = plan.events;
    events.retain_mut(|event| match event {
        GroupEvent::Created { members } => {
            members.retain(|user| !invited.contains(user));
            true
        }
        GroupEvent::Invited { user, .. } => !invited.contains(user),
        _ => true,
    });
    let everybody = std::iter::once(&creator).chain(&members);
    let request = repo::CreateConversationRequest {
        r#type: ConversationType::Group as i32,
        name: request.name,
        avatar_url: request.avatar_url,
        description: request.description,
        owner_id: creator.to_string(),
        member_ids: everybody.map(ToString::to_string).collect(),
        settings: settings.to_json(),
        ..Default::default()
    };
    let conversation = present(app.repo.create_conversation(request).await?.conversation)?;
    let id = parse::conversation(&conversation.id).map_err(|_| ErrorCode::Internal)?;
    let told = tell_created(app, &conversation, id, creator, &events).await;
    app.owed.settle(id);
    told?;
    consent::invite(app, id, creator, &invited).await?;
    view::seen_by(app, conversation, id, creator).await
}

/// Settings of a new group: those that were asked for, completed by what the installation says.
fn first_settings(limits: &Limits, asked: &str) -> Result<Settings> {
    let mut group = Settings::parse(ConversationKind::Group, asked)?.group();
    if group.announcement.is_some() {
        let sentence = "A new group has no announcement: announce once it is there.";
        return Err(Error::new(ErrorCode::InvalidParams, sentence));
    }
    if group.system_messages.is_none() && !limits.system_messages {
        group.system_messages = Some(false);
    }
    Ok(Settings::Group(group))
}

async fn tell_created(
    app: &App,
    conversation: &Conversation,
    id: ConversationId,
    creator: UserId,
    events: &[GroupEvent],
) -> Result<()> {
    let subject = subject(id, conversation);
    // Somebody may have sent to the id before it existed: its owner must forget that it didn't.
    let (announced, ()) = tokio::join!(
        app.facts.announce(id),
        app.events.conversation(&subject, creator, events)
    );
    announced
}

/// A user as core judges one who shall become a member.
pub(super) fn candidate(id: UserId, people: &People, is_member: bool) -> Candidate {
    let account = people.get(&id);
    Candidate {
        id,
        active: account.is_some_and(is_active),
        is_guest: account.is_some_and(|user| user.is_guest),
        is_member,
    }
}

/// `JoinWorldChat`: everybody is in it, so there is nothing to write.
pub(super) async fn join_world(
    app: &App,
    request: pb::JoinWorldChatRequest,
) -> Result<pb::JoinWorldChatResponse> {
    let user = parse::user(&request.user_id)?;
    app.repo.actor(user).await?;
    let id = ConversationId::World;
    let conversation = view::seen_by(app, view::stored(app, id).await?, id, user).await?;
    Ok(pb::JoinWorldChatResponse {
        success: true,
        conversation: Some(conversation),
    })
}
