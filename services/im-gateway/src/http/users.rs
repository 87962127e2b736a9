//! Profiles and the search for users.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::reach::AddedBy;
use gochat_proto::im::logic::v1::{SearchUsersRequest, UpdateProfileRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Body, Params, Registered, Trace};
use super::objects::User;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use super::version::IfMatch;
use crate::state::Gw;

const SEARCH_DEFAULT: i32 = 10;
const SEARCH_MAX: i32 = 20;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileBody {
    /// New picture; empty text takes it away.
    #[serde(default, alias = "avatar_url")]
    avatar_url: Option<String>,
    /// Who adds you to groups without asking: `everybody`, `friends` or `nobody`; others invite
    /// you.
    #[serde(default, alias = "added_by")]
    added_by: Option<String>,
    /// The `version` you saw, as the header `If-Match` says it; any other is a conflict.
    #[serde(default)]
    version: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParams {
    /// Part of a username.
    #[serde(default)]
    q: String,
    /// 1 to 20, default 10.
    #[serde(default)]
    limit: Option<i32>,
    /// `nextCursor` of the page before. Opaque.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsersData {
    users: Vec<User>,
    has_more: bool,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_cursor: String,
}

/// Your own profile.
#[utoipa::path(get, path = "/users/profile", tag = "users", security(("bearer" = [])), responses(
    (status = 200, body = Envelope<User>), (status = 401, body = ErrorBody)))]
pub(super) async fn profile(State(gw): State<Gw>, trace: Trace, Auth(me): Auth) -> ApiResult<User> {
    let user = User::own(gw.profile(me.user, &trace.0).await?);
    let version = user.version;
    Ok(Reply::ok(user).tagged(version))
}

/// Changes your profile.
#[utoipa::path(put, path = "/users/profile", tag = "users", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag of the version you saw")),
    request_body = ProfileBody, responses((status = 200, body = Envelope<User>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn update_profile(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    seen: IfMatch,
    Body(body): Body<ProfileBody>,
) -> ApiResult<User> {
    let expected_version = seen.or(body.version)?;
    let word = |word: &String| {
        let setting = AddedBy::from_word(word);
        let unknown = || ApiError::invalid("`addedBy` is `everybody`, `friends` or `nobody`.");
        setting.map(|setting| setting as i32).ok_or_else(unknown)
    };
    let added_by = body.added_by.as_ref().map(word).transpose()?;
    let update_mask = body
        .avatar_url
        .iter()
        .map(|_| "avatar_url".to_owned())
        .collect();
    let request = UpdateProfileRequest {
        user_id: me.user.to_string(),
        avatar_url: body.avatar_url.unwrap_or_default(),
        update_mask,
        expected_version,
        added_by,
    };
    let call = gw.backend.call(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.update_profile(r).await },
    );
    let user = call.await?.user.ok_or(ErrorCode::Internal)?;
    let version = user.version;
    Ok(Reply::ok(User::own(user)).tagged(version))
}

/// Finds registered users by name; never yourself, never guests.
#[utoipa::path(get, path = "/users/search", tag = "users", security(("bearer" = [])),
    params(SearchParams), responses(
    (status = 200, body = Envelope<UsersData>), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn search(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Params(params): Params<SearchParams>,
) -> ApiResult<UsersData> {
    if gochat_core::text::is_blank(&params.q) {
        return Err(ErrorCode::MissingQuery.into());
    }
    let request = SearchUsersRequest {
        user_id: me.user.to_string(),
        query: params.q,
        limit: params.limit.unwrap_or(SEARCH_DEFAULT).clamp(1, SEARCH_MAX),
        cursor: params.cursor.unwrap_or_default(),
    };
    let call = gw.backend.read(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.search_users(r).await },
    );
    let r = call.await?;
    Ok(Reply::ok(UsersData {
        users: r.users.into_iter().map(Into::into).collect(),
        has_more: r.has_more,
        next_cursor: r.next_cursor,
    }))
}
