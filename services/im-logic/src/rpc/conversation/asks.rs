//! Requests to join groups.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::membership::{
    Action, AskLimits, GroupEvent, JoinRequest, JoinStatus, check_join_text, decide_ask,
};
use gochat_core::text;
use gochat_proto::common::v1 as common;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::{consent, links, members, view};
use crate::app::App;
use crate::clock;
use crate::repo::{Facts, present};

/// `AskToJoin`.
pub(super) async fn ask(app: &App, request: pb::AskToJoinRequest) -> Result<pb::AskToJoinResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::group(&request.conversation_id)?;
    app.repo.registered(user).await?;
    let facts = app.repo.facts(id, &[user]).await?;
    let words = text::optional(request.text);
    check_join_text(&words)?;
    let request = make(app, id, user, words, None, &facts).await?;
    Ok(pb::AskToJoinResponse {
        request: Some(request),
    })
}

/// Makes a request, unless there is an open one, and tells the admins of a new one.
pub(super) async fn make(
    app: &App,
    id: ConversationId,
    user: UserId,
    text: String,
    link: Option<String>,
    facts: &Facts,
) -> Result<common::JoinRequest> {
    let cooldown = app.limits.request_cooldown_s;
    let limits = AskLimits {
        // The numbers of open requests are judged where a request is written.
        of_user: (0, 1),
        of_group: (0, 1),
        cooldown: cooldown.saturating_mul(1_000),
    };
    let current = stored(app, id, user).await?;
    let judged = current.as_ref().and_then(as_judged);
    let (standing, by_link, now) = (facts.standing(user), link.is_some(), clock::now_ms());
    decide_ask(
        &facts.group,
        standing,
        by_link,
        judged.as_ref(),
        &limits,
        now,
    )?;
    consent::has_room(app, user).await?;
    app.budgets.join_request(user).await?;
    let write = repo::AskToJoinRequest {
        conversation_id: id.to_string(),
        user_id: user.to_string(),
        text,
        link_code: link.unwrap_or_default(),
        cap_user: app.limits.join_requests_per_user,
        cap_group: app.limits.join_requests_per_group,
        cooldown_s: i64::try_from(cooldown).unwrap_or(i64::MAX),
        ttl_s: app.limits.invitation_ttl_s,
    };
    let answer = app.repo.ask_to_join(write).await?;
    let request = present(answer.request)?;
    if answer.made {
        app.events.join_asked(id, user, &request.text).await;
    }
    Ok(request)
}

async fn stored(
    app: &App,
    id: ConversationId,
    user: UserId,
) -> Result<Option<common::JoinRequest>> {
    let query = repo::GetJoinRequestRequest {
        conversation_id: id.to_string(),
        user_id: user.to_string(),
    };
    Ok(app.repo.get_join_request(query).await?.request)
}

/// Returns true while the user's request waits for an answer.
pub(super) async fn is_open(app: &App, id: ConversationId, user: UserId) -> Result<bool> {
    let request = stored(app, id, user).await?;
    let request = request.as_ref().and_then(as_judged);
    Ok(request.is_some_and(|request| request.is_open(clock::now_ms())))
}

fn as_judged(request: &common::JoinRequest) -> Option<JoinRequest> {
    let millis = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    Some(JoinRequest {
        status: JoinStatus::from_i32(request.status)?,
        changed_at: millis(request.changed_at),
        expires_at: millis(request.expires_at),
    })
}

/// `GetJoinRequest`: the asker's own, or any for those who answer.
pub(super) async fn get(
    app: &App,
    request: pb::GetJoinRequestRequest,
) -> Result<pb::GetJoinRequestResponse> {
    let user = parse::user(&request.user_id)?;
    let asker = parse::user(&request.asker_id)?;
    let id = parse::group(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    if user != asker {
        facts.standing(user).may(Action::AnswerJoin)?;
    }
    let found = stored(app, id, asker).await?;
    Ok(pb::GetJoinRequestResponse {
        request: Some(found.ok_or(ErrorCode::JoinRequestNotFound)?),
    })
}

/// `ListJoinRequests`: for those who answer.
pub(super) async fn list(
    app: &App,
    request: pb::ListJoinRequestsRequest,
) -> Result<pb::ListJoinRequestsResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::group(&request.conversation_id)?;
    let standing = app.repo.facts(id, &[user]).await?.readable_by(user)?;
    standing.may(Action::AnswerJoin)?;
    let query = repo::ListJoinRequestsRequest {
        conversation_id: id.to_string(),
        after_id: request.after_id,
        limit: request.limit,
    };
    let page = app.repo.list_join_requests(query).await?;
    Ok(pb::ListJoinRequestsResponse {
        requests: page.requests,
        has_more: page.has_more,
    })
}

/// `AnswerJoinRequest`: the group is told of a new member, the asker of the outcome.
pub(super) async fn answer(
    app: &App,
    request: pb::AnswerJoinRequestRequest,
) -> Result<pb::AnswerJoinRequestResponse> {
    let operator = parse::user(&request.operator_id)?;
    let asker = parse::user(&request.asker_id)?;
    let id = parse::group(&request.conversation_id)?;
    let accept = match request.action {
        1 => true,
        2 => false,
        _ => {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "The action is 1 or 2.",
            ));
        }
    };
    let facts = app.repo.facts(id, &[operator, asker]).await?;
    facts.readable_by(operator)?.may(Action::AnswerJoin)?;
    let admits = accept && facts.role_of(asker).is_none();
    if admits {
        let room = consent::has_room(app, asker).await;
        room.map_err(|e| Error::from(e.code))?;
        links::not_blocked(app, operator, asker).await?;
        members::charge(app, operator, id, 1, &facts).await?;
        // A new member starts to count at the head; it has to be the newest one.
        app.facts.rows_written(id).await;
    }
    let write = repo::AnswerJoinRequestRequest {
        conversation_id: id.to_string(),
        user_id: asker.to_string(),
        operator_id: operator.to_string(),
        accept,
    };
    let answered = app.repo.answer_join_request(write).await?;
    let spread = match answered.joined {
        true => {
            let events = GroupEvent::joined(&[asker], operator);
            members::spread(app, id, operator, &events, &[]).await
        }
        // The repeat of a call whose answer was lost.
        false if accept => app.facts.announce(id).await,
        false => Ok(()),
    };
    if answered.changed {
        let name = view::stored(app, id).await.unwrap_or_default().name;
        app.events
            .join_answered(id, &name, asker, operator, accept)
            .await;
    }
    spread?;
    Ok(pb::AnswerJoinRequestResponse { success: true })
}
