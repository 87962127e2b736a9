//! UserService: accounts.

use gochat_core::account::check_avatar_url;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::page::Cursor;
use gochat_infra::port::db::{
    DeleteUser, NewUser, SetPassword, UpgradeGuest, UserPatch, UserSearch, UserStatus,
};
use gochat_proto::common::v1::UserStatus as WireStatus;
use gochat_proto::im::repo::v1::{user_service_server::UserService, *};

use crate::rpc::{failed, serve};
use crate::services::api;
use crate::{args, convert, pages};

/// Longest name a row holds. Which names are allowed is decided before they get here.
const USERNAME_MAX: usize = 50;
/// Longest password hash a row holds.
const HASH_MAX: usize = 255;
/// Most results of a search.
const SEARCH_MAX: u32 = 20;

api!(
    /// Accounts.
    UserApi
);

serve!(impl UserService => UserApi {
    create_user(CreateUserRequest) -> CreateUserResponse;
    get_user(GetUserRequest) -> GetUserResponse;
    get_users(GetUsersRequest) -> GetUsersResponse;
    update_user(UpdateUserRequest) -> UpdateUserResponse;
    verify_password(VerifyPasswordRequest) -> VerifyPasswordResponse;
    get_user_by_username(GetUserByUsernameRequest) -> GetUserByUsernameResponse;
    search_users_by_username(SearchUsersByUsernameRequest) -> SearchUsersByUsernameResponse;
    set_password(SetPasswordRequest) -> SetPasswordResponse;
    delete_user(DeleteUserRequest) -> DeleteUserResponse;
    upgrade_guest(UpgradeGuestRequest) -> UpgradeGuestResponse;
    delete_expired_guests(DeleteExpiredGuestsRequest) -> DeleteExpiredGuestsResponse;
    use_invitation(UseInvitationRequest) -> UseInvitationResponse;
    return_invitation(ReturnInvitationRequest) -> ReturnInvitationResponse;
});

/// Longest hash of an invitation code.
const CODE_MAX: usize = 64;

impl UserApi {
    async fn use_invitation(&self, request: UseInvitationRequest) -> Result<UseInvitationResponse> {
        let code = args::text(&request.code, "code", CODE_MAX)?;
        let most = u32::try_from(request.most).unwrap_or(0);
        if most == 0 {
            return Err(args::invalid("`most` must be above 0."));
        }
        let used = self.shared.db.use_code(code, most).await.map_err(failed)?;
        Ok(UseInvitationResponse { used })
    }

    async fn return_invitation(
        &self,
        request: ReturnInvitationRequest,
    ) -> Result<ReturnInvitationResponse> {
        let code = args::text(&request.code, "code", CODE_MAX)?;
        self.shared.db.return_code(code).await.map_err(failed)?;
        Ok(ReturnInvitationResponse {})
    }

    async fn create_user(&self, request: CreateUserRequest) -> Result<CreateUserResponse> {
        args::text(&request.username, "username", USERNAME_MAX)?;
        args::optional_text(&request.password_hash, "password_hash", HASH_MAX)?;
        check_avatar_url(&request.avatar_url)?;
        if request.is_guest != request.password_hash.is_empty() {
            return Err(args::invalid(
                "Guests have no `password_hash`, everybody else has one.",
            ));
        }
        let id = match args::user_or_none(&request.id, "id")? {
            Some(id) => id,
            None => {
                UserId::new(self.shared.ids.next_id()?).ok_or(Error::from(ErrorCode::Internal))?
            }
        };
        let new = NewUser {
            id,
            username: request.username,
            password_hash: request.password_hash,
            avatar_url: request.avatar_url,
            is_guest: request.is_guest,
            now: self.shared.now(),
        };
        let db = self.shared.db.clone();
        // Somebody may have asked for the id before: its absence is remembered.
        let created = async move { db.create_user(new).await };
        let row = self.shared.users.change(id, created).await?;
        Ok(CreateUserResponse {
            user: Some(convert::user(&row)),
        })
    }

    async fn get_user(&self, request: GetUserRequest) -> Result<GetUserResponse> {
        let id = args::user(&request.user_id, "user_id")?;
        let found = self.shared.users.one(id).await?;
        let found = found.ok_or(Error::from(ErrorCode::UserNotFound))?;
        Ok(GetUserResponse {
            user: Some(found.user),
            from_cache: found.from_cache,
        })
    }

    async fn get_users(&self, request: GetUsersRequest) -> Result<GetUsersResponse> {
        let ids = args::users(&request.user_ids, "user_ids")?;
        let found = self.shared.users.many(&ids).await?;
        let cached = found.iter().filter(|found| found.from_cache);
        Ok(GetUsersResponse {
            cached_user_ids: cached.map(|found| found.user.id.clone()).collect(),
            users: found.into_iter().map(|found| found.user).collect(),
        })
    }

    async fn update_user(&self, request: UpdateUserRequest) -> Result<UpdateUserResponse> {
        let id = args::user(&request.user_id, "user_id")?;
        let mask = args::Mask::new(&request.update_mask, &["avatar_url", "status", "added_by"])?;
        let status = match request.status() {
            status if !mask.wants("status", status == WireStatus::Unspecified) => None,
            WireStatus::Normal => Some(UserStatus::Normal),
            WireStatus::Disabled => Some(UserStatus::Disabled),
            WireStatus::Deleted => Some(UserStatus::Deleted),
            WireStatus::Unspecified => return Err(args::invalid("`status` is missing.")),
        };
        let patch = UserPatch {
            avatar_url: mask.pick("avatar_url", request.avatar_url),
            status,
            added_by: request.added_by.map(args::added_by).transpose()?,
            expected_version: request.expected_version.map(args::version),
        };
        check_avatar_url(patch.avatar_url.as_deref().unwrap_or_default())?;
        let now = self.shared.now();
        let tokens_expire_at = self.shared.tokens_expire_at(request.tokens_expire_at_ms);
        let db = self.shared.db.clone();
        let updated = async move { db.update_user(id, patch, now, tokens_expire_at).await };
        let row = self.shared.users.change(id, updated).await?;
        Ok(UpdateUserResponse {
            user: Some(convert::user(&row)),
        })
    }

    /// Unknown users and guests are answered as a wrong password is, after the same work.
    async fn verify_password(
        &self,
        request: VerifyPasswordRequest,
    ) -> Result<VerifyPasswordResponse> {
        let id = args::user(&request.user_id, "user_id")?;
        let stored = self.shared.db.password(id).await.map_err(failed)?;
        let (hash, version) = stored.map(|s| (s.hash, s.version)).unzip();
        let valid = self.shared.passwords.verify(hash, request.password).await?;
        Ok(VerifyPasswordResponse {
            valid,
            password_version: version.map_or(0, convert::wide),
        })
    }

    async fn set_password(&self, request: SetPasswordRequest) -> Result<SetPasswordResponse> {
        args::text(&request.password_hash, "password_hash", HASH_MAX)?;
        let version = args::seq(request.password_version, "password_version")?;
        let asked = SetPassword {
            user: args::user(&request.user_id, "user_id")?,
            hash: request.password_hash,
            version: (!request.any_version).then_some(version),
            keep: args::session_or_none(&request.keep_session_id, "keep_session_id")?,
            now: args::exact_millis(request.now_ms).unwrap_or_else(|| self.shared.now()),
            tokens_expire_at: self.shared.tokens_expire_at(request.tokens_expire_at_ms),
        };
        self.shared.db.set_password(asked).await.map_err(failed)?;
        Ok(SetPasswordResponse {})
    }

    async fn delete_user(&self, request: DeleteUserRequest) -> Result<DeleteUserResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let asked = DeleteUser {
            user,
            now: args::exact_millis(request.now_ms).unwrap_or_else(|| self.shared.now()),
            tokens_expire_at: self.shared.tokens_expire_at(request.tokens_expire_at_ms),
        };
        let db = self.shared.db.clone();
        let deleted = async move { db.delete_user(asked).await };
        let row = self.shared.users.change(user, deleted).await?;
        Ok(DeleteUserResponse {
            user: Some(convert::user(&row)),
        })
    }

    async fn upgrade_guest(&self, request: UpgradeGuestRequest) -> Result<UpgradeGuestResponse> {
        args::text(&request.username, "username", USERNAME_MAX)?;
        args::text(&request.password_hash, "password_hash", HASH_MAX)?;
        let user = args::user(&request.user_id, "user_id")?;
        let asked = UpgradeGuest {
            user,
            username: request.username,
            hash: request.password_hash,
            now: self.shared.now(),
        };
        let db = self.shared.db.clone();
        let upgraded = async move { db.upgrade_guest(asked).await };
        let row = self.shared.users.change(user, upgraded).await?;
        Ok(UpgradeGuestResponse {
            user: Some(convert::user(&row)),
        })
    }

    async fn get_user_by_username(
        &self,
        request: GetUserByUsernameRequest,
    ) -> Result<GetUserByUsernameResponse> {
        let name = args::text(&request.username, "username", USERNAME_MAX)?;
        let row = self
            .shared
            .db
            .user_by_username(name)
            .await
            .map_err(failed)?;
        let row = row.ok_or(Error::from(ErrorCode::UserNotFound))?;
        Ok(GetUserByUsernameResponse {
            user: Some(convert::user(&row)),
        })
    }

    async fn search_users_by_username(
        &self,
        request: SearchUsersByUsernameRequest,
    ) -> Result<SearchUsersByUsernameResponse> {
        let search = UserSearch {
            query: args::text(&request.query, "query", USERNAME_MAX)?.to_owned(),
            exclude: args::user_or_none(&request.exclude_user_id, "exclude_user_id")?,
            include_guests: request.include_guests,
            after: pages::name(&request.cursor)?,
            limit: args::limit(request.limit, 10, SEARCH_MAX),
        };
        let page = self.shared.db.search_users(search).await.map_err(failed)?;
        let next = page.next.map(|(inside, key)| Cursor::Name { inside, key });
        Ok(SearchUsersByUsernameResponse {
            users: page.users.iter().map(convert::user).collect(),
            next_cursor: next.map(|next| next.to_string()).unwrap_or_default(),
        })
    }

    async fn delete_expired_guests(
        &self,
        request: DeleteExpiredGuestsRequest,
    ) -> Result<DeleteExpiredGuestsResponse> {
        let before = args::millis_or_none(request.inactive_before)
            .ok_or_else(|| args::invalid("`inactive_before` is missing."))?;
        let limit = args::limit(request.batch_size, 100, 1_000);
        let now = self.shared.now();
        let gone = self.shared.users.expire((before, now), limit).await?;
        Ok(DeleteExpiredGuestsResponse {
            deleted_count: convert::count(gone.len()),
            user_ids: gone.iter().map(ToString::to_string).collect(),
        })
    }
}
