//! Audit records of what users do to their accounts and sessions.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_proto::im::repo::v1::GetUserByUsernameRequest;
use serde_json::{Value, json};

use crate::app::App;
use crate::audit::{Act, OK};

/// An act of a user on the own account.
pub(super) struct Trail<'a> {
    /// The user.
    pub(super) user: String,
    /// What was done.
    pub(super) action: &'static str,
    /// The action of a refusal; empty: refusals are not recorded.
    pub(super) refused: &'static str,
    /// Network address.
    pub(super) address: &'a str,
    /// What else is worth knowing.
    pub(super) detail: Option<Value>,
}

/// Whether an error is a decision about the caller, and not a failure of the system.
fn is_decision(error: &Error) -> bool {
    !error.is_retryable() && error.code != ErrorCode::InvalidParams
}

/// Queues the record of an outcome and hands the outcome on.
pub(super) fn recorded<T>(app: &App, trail: Trail<'_>, outcome: Result<T>) -> Result<T> {
    let act = |action, outcome| Act {
        actor: trail.user.clone(),
        action,
        target: trail.user.clone(),
        address: trail.address.to_owned(),
        outcome,
        detail: trail.detail.clone(),
    };
    match &outcome {
        Ok(_) => app.audit.note(act(trail.action, OK)),
        Err(error) if is_decision(error) && !trail.refused.is_empty() => {
            app.audit
                .note_refusal(act(trail.refused, error.code.code()));
        }
        Err(_) => {}
    }
    outcome
}

/// Records a refused sign-in beside the answer: the name is looked up again, and neither the time
/// that takes nor its outcome may show. The record never holds the name that was typed.
pub(super) fn sign_in_refused(app: &App, username: String, address: String, error: &Error) {
    if !is_decision(error) || !app.audit.admits_refusal() {
        return;
    }
    let (repo, audit, outcome) = (app.repo.clone(), app.audit.clone(), error.code.code());
    tokio::spawn(async move {
        let request = GetUserByUsernameRequest { username };
        let found = repo.user_by_name(request).await.ok();
        let id = found.and_then(|answer| answer.user).map(|user| user.id);
        audit.note(Act {
            actor: String::new(),
            action: "session.sign_in_refused",
            detail: id.is_none().then(|| json!({ "account": "unknown" })),
            target: id.unwrap_or_default(),
            address,
            outcome,
        });
    });
}

/// The act of signing in.
pub(super) fn signed_in(user: &str, is_guest: bool, address: &str, device: &str) -> Act {
    Act {
        actor: user.to_owned(),
        action: "session.sign_in",
        target: user.to_owned(),
        address: address.to_owned(),
        outcome: OK,
        detail: Some(json!({
            "guest": is_guest,
            "device": device.chars().take(64).collect::<String>(),
        })),
    }
}

/// A [`Trail`] without details.
pub(super) fn of<'a>(
    user: UserId,
    action: &'static str,
    refused: &'static str,
    address: &'a str,
) -> Trail<'a> {
    Trail {
        user: user.to_string(),
        action,
        refused,
        address,
        detail: None,
    }
}
