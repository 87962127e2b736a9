//! The one error catalogue: number ↔ string code ↔ HTTP status ↔ gRPC status.
//!
//! Every refusal in the system is an [`Error`]: a stable [`ErrorCode`], a sentence for a
//! person, and (through the code) whether trying again can help.

use std::borrow::Cow;
use std::fmt;

/// gRPC status codes as numbers (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
/// Kept here so that core depends on no RPC crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum GrpcCode {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

macro_rules! catalogue {
    ($($name:ident = $number:literal, $code:literal, $http:literal, $grpc:ident, $retry:literal, $text:literal;)*) => {
        /// Every refusal GoChat can give. See the table in the source for the mapping.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = $text] $name,)*
        }

        impl ErrorCode {
            /// All codes, in catalogue order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The number of the wire enum `common.v1.ErrorCode`. Several string codes may share one number.
            pub const fn number(self) -> i32 {
                match self { $(Self::$name => $number,)* }
            }

            /// The stable string clients switch on.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// HTTP status.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// gRPC status.
            pub const fn grpc(self) -> GrpcCode {
                match self { $(Self::$name => GrpcCode::$grpc,)* }
            }

            /// Whether the same request can succeed later without a change by the caller.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }

            /// The sentence used when nothing more specific is known.
            pub const fn default_message(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Finds a code by its string form.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

catalogue! {
    // name = number, string code, HTTP, gRPC, retry helps, sentence
    Internal = 1000, "INTERNAL_ERROR", 500, Internal, true, "Something went wrong on our side.";
    InvalidParams = 1001, "INVALID_PARAMS", 400, InvalidArgument, false, "A field is missing or has the wrong form.";
    MissingQuery = 1001, "MISSING_QUERY", 400, InvalidArgument, false, "The query must not be empty.";
    Unauthorized = 1002, "UNAUTHORIZED", 401, Unauthenticated, false, "Sign in first.";
    InvalidTokenFormat = 1002, "INVALID_TOKEN_FORMAT", 401, Unauthenticated, false, "The Authorization header must read `Bearer <token>`.";
    AuthFailed = 1002, "AUTH_FAILED", 401, Unauthenticated, false, "The connection could not be authenticated.";
    Forbidden = 1003, "FORBIDDEN", 403, PermissionDenied, false, "You may not do this.";
    GuestNotAllowed = 1003, "GUEST_NOT_ALLOWED", 403, PermissionDenied, false, "Guests may not do this; register an account.";
    RegistrationClosed = 1003, "REGISTRATION_CLOSED", 403, PermissionDenied, false, "No accounts are made here right now.";
    InvitationInvalid = 1003, "INVITATION_INVALID", 403, PermissionDenied, false, "Registration takes an invitation code that is good and not used up.";
    ProofRequired = 1003, "PROOF_REQUIRED", 403, PermissionDenied, false, "Solve a challenge first: get one from /auth/challenge and send its proof.";
    NotFound = 1004, "NOT_FOUND", 404, NotFound, false, "There is no such thing.";
    RateLimited = 1005, "RATE_LIMITED", 429, ResourceExhausted, true, "Too many requests; slow down.";
    SlowMode = 1005, "SLOW_MODE", 429, ResourceExhausted, true, "This conversation takes no more messages right now; wait a moment.";
    ServiceUnavailable = 1006, "SERVICE_UNAVAILABLE", 503, Unavailable, true, "The service is not available right now; try again.";
    Timeout = 1007, "TIMEOUT", 504, DeadlineExceeded, true, "The answer took too long; the request may still take effect. Trying again with the same id is safe.";
    VersionConflict = 1008, "VERSION_CONFLICT", 409, Aborted, false, "It was changed in the meantime; load it again.";
    UserNotFound = 2000, "USER_NOT_FOUND", 404, NotFound, false, "There is no such user.";
    UserAlreadyExists = 2001, "USER_ALREADY_EXISTS", 400, AlreadyExists, false, "This username is taken.";
    InvalidCredentials = 2002, "AUTH_INVALID_CREDENTIALS", 401, Unauthenticated, false, "Username or password is wrong.";
    InvalidToken = 2003, "INVALID_TOKEN", 401, Unauthenticated, false, "The token is not valid.";
    TokenExpired = 2004, "TOKEN_EXPIRED", 401, Unauthenticated, false, "The token has expired; refresh it.";
    UserDisabled = 2005, "USER_DISABLED", 423, PermissionDenied, false, "This account is disabled.";
    InvalidUsername = 2006, "INVALID_USERNAME", 400, InvalidArgument, false, "A username has 3 to 50 characters and is not a reserved name.";
    WeakPassword = 2007, "WEAK_PASSWORD", 400, InvalidArgument, false, "A password has 8 to 128 characters.";
    MessageNotFound = 3000, "MESSAGE_NOT_FOUND", 404, NotFound, false, "There is no such message.";
    DuplicateMessage = 3001, "DUPLICATE_MESSAGE", 201, Ok, false, "This message was accepted before.";
    InvalidMessage = 3002, "INVALID_MESSAGE", 400, InvalidArgument, false, "The message can't be understood.";
    MessageTooLarge = 3003, "MESSAGE_TOO_LARGE", 400, InvalidArgument, false, "The message is too long.";
    MessageEmpty = 3004, "MESSAGE_EMPTY", 400, InvalidArgument, false, "The message is empty.";
    UnsupportedMessageType = 3005, "UNSUPPORTED_MESSAGE_TYPE", 400, InvalidArgument, false, "Messages of this type can't be sent.";
    MessageRecalled = 3006, "MESSAGE_RECALLED", 409, FailedPrecondition, false, "The message was recalled.";
    RecallTimeExceeded = 3007, "RECALL_TIME_EXCEEDED", 400, FailedPrecondition, false, "It is too late to recall this message.";
    NotTheAuthor = 3008, "NOT_THE_AUTHOR", 403, PermissionDenied, false, "Only its author may edit a message.";
    EditTimeExceeded = 3009, "EDIT_TIME_EXCEEDED", 400, FailedPrecondition, false, "It is too late to edit this message.";
    TooManyEdits = 3010, "TOO_MANY_EDITS", 409, ResourceExhausted, false, "This message was edited as often as a message may be.";
    ReactionNotAllowed = 3011, "REACTION_NOT_ALLOWED", 400, InvalidArgument, false, "A reaction is one emoji, or a name that the group allows.";
    TooManyReactions = 3012, "TOO_MANY_REACTIONS", 409, ResourceExhausted, false, "A message has room for 20 kinds of reactions.";
    ConversationNotFound = 4000, "CONVERSATION_NOT_FOUND", 404, NotFound, false, "There is no such conversation.";
    NotConversationMember = 4001, "NOT_CONVERSATION_MEMBER", 403, PermissionDenied, false, "You are not a member of this conversation.";
    ConversationFull = 4002, "CONVERSATION_FULL", 403, ResourceExhausted, false, "The conversation has no room for more members.";
    InsufficientPermission = 4003, "INSUFFICIENT_PERMISSION", 403, PermissionDenied, false, "Your role does not allow this.";
    MemberMuted = 4003, "MEMBER_MUTED", 403, PermissionDenied, false, "You are muted in this conversation.";
    ConversationDissolved = 4004, "CONVERSATION_DISSOLVED", 404, NotFound, false, "The conversation was dissolved.";
    UserAlreadyInConversation = 4005, "USER_ALREADY_IN_CONVERSATION", 201, AlreadyExists, false, "This user is a member already.";
    InvalidConversationName = 4006, "INVALID_CONVERSATION_NAME", 400, InvalidArgument, false, "A conversation name has 1 to 100 characters.";
    CannotLeaveConversation = 4007, "CANNOT_LEAVE_CONVERSATION", 403, FailedPrecondition, false, "The owner can't leave; transfer the ownership or dissolve the group.";
    Invited = 4008, "INVITED", 201, AlreadyExists, false, "This user was invited and decides about the membership.";
    TooManyConversations = 4009, "TOO_MANY_CONVERSATIONS", 403, ResourceExhausted, false, "This user is in as many conversations as one may be.";
    InvitationNotFound = 4010, "INVITATION_NOT_FOUND", 404, NotFound, false, "There is no such invitation, or it has ended.";
    TooManyMembers = 4011, "TOO_MANY_MEMBERS", 400, FailedPrecondition, false, "Who has read is told in groups of up to 200 members.";
    TooManyInvitations = 4012, "TOO_MANY_INVITATIONS", 409, ResourceExhausted, false, "The group has as many invitation links as it may have; revoke one first.";
    TooManyPins = 4013, "TOO_MANY_PINS", 409, ResourceExhausted, false, "There is no room for another pin; take one off first.";
    JoinRequestNotFound = 4014, "JOIN_REQUEST_NOT_FOUND", 404, NotFound, false, "There is no such request to join, or it has ended.";
    JoinRequestHandled = 4015, "JOIN_REQUEST_HANDLED", 409, FailedPrecondition, false, "This request to join was answered otherwise before.";
    TooManyHidden = 4016, "TOO_MANY_HIDDEN", 409, ResourceExhausted, false, "You deleted as many messages of this conversation for yourself as one may; clear it instead.";
    FriendRequestNotFound = 5000, "FRIEND_REQUEST_NOT_FOUND", 404, NotFound, false, "There is no such friend request.";
    FriendRequestAlreadyExists = 5001, "FRIEND_REQUEST_ALREADY_EXISTS", 409, AlreadyExists, false, "There is an open friend request already.";
    AlreadyFriends = 5002, "ALREADY_FRIENDS", 409, AlreadyExists, false, "You are friends already.";
    NotFriends = 5003, "NOT_FRIENDS", 403, PermissionDenied, false, "You are not friends.";
    CannotAddSelfAsFriend = 5004, "CANNOT_ADD_SELF_AS_FRIEND", 400, InvalidArgument, false, "You can't befriend yourself.";
    FriendRequestAlreadyHandled = 5005, "FRIEND_REQUEST_ALREADY_HANDLED", 409, FailedPrecondition, false, "This request was answered before.";
    FileNotFound = 6000, "FILE_NOT_FOUND", 404, NotFound, false, "There is no such file.";
    UnsupportedFileFormat = 6001, "UNSUPPORTED_FILE_FORMAT", 400, InvalidArgument, false, "Files of this format can't be sent.";
    FileTooLarge = 6002, "FILE_TOO_LARGE", 413, InvalidArgument, false, "The file is too large.";
    FileUploadFailed = 6003, "FILE_UPLOAD_FAILED", 500, Internal, true, "The file could not be stored.";
    FileDownloadFailed = 6004, "FILE_DOWNLOAD_FAILED", 500, Internal, true, "The file could not be read.";
    ConnectionReplaced = 1003, "CONNECTION_REPLACED", 403, PermissionDenied, false, "Another connection of yours took this one's place.";
}

impl ErrorCode {
    /// The first code with this wire number, for answers that carry only the number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.number() == number)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal: what, in words, and whether retrying helps.
///
/// ```
/// use gochat_core::error::{Error, ErrorCode};
/// let e = Error::from(ErrorCode::MemberMuted);
/// assert_eq!(e.code.code(), "MEMBER_MUTED");
/// assert!(!e.is_retryable());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// Stable code.
    pub code: ErrorCode,
    /// Sentence for a person. Never holds secrets or message content.
    pub message: Cow<'static, str>,
    /// Milliseconds after which the same request may be accepted; 0 when that isn't known.
    pub retry_after_ms: u32,
}

/// Result with the catalogue's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with its own sentence.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: 0,
        }
    }

    /// The same refusal that also says when to come back, in milliseconds.
    #[must_use]
    pub fn after(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX);
        self
    }

    /// Whole seconds to wait, rounded up; `None` when the refusal doesn't say.
    pub const fn retry_after_s(&self) -> Option<u32> {
        match self.retry_after_ms {
            0 => None,
            ms => Some(ms.div_ceil(1_000)),
        }
    }

    /// Whether the same request can succeed later unchanged.
    pub const fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            message: Cow::Borrowed(code.default_message()),
            retry_after_ms: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_codes_are_unique_and_found_again() {
        for (i, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
            assert!(
                ErrorCode::ALL[i + 1..]
                    .iter()
                    .all(|other| other.code() != code.code())
            );
        }
    }

    #[test]
    fn unavailability_is_retryable_and_refusals_are_not() {
        for code in ErrorCode::ALL {
            let expected = code.http_status() >= 500 || code.http_status() == 429;
            assert_eq!(code.is_retryable(), expected, "{code}");
        }
    }
}
