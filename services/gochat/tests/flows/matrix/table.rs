//! What every endpoint answers to whom.

/// Status and code; no code means success.
pub type Cell = (u16, &'static str);

/// One endpoint, or one use of it.
pub struct Row {
    /// Number in the contract's index; a letter marks a second use.
    pub no: &'static str,
    pub method: &'static str,
    /// With placeholders, see `http::fill`.
    pub path: &'static str,
    /// JSON with placeholders; empty sends none.
    pub body: &'static str,
    /// In the order of `cast::BAD`.
    pub bad: [Cell; 6],
    /// In the order of `cast::ACTORS`: guest, stranger, member, muted, admin, owner.
    pub actors: [Cell; 6],
}

const OK: Cell = (200, "");
const NEW: Cell = (201, "");
const GUEST: Cell = (403, "GUEST_NOT_ALLOWED");
const OUT: Cell = (403, "NOT_CONVERSATION_MEMBER");
const LOW: Cell = (403, "INSUFFICIENT_PERMISSION");
const AUTHOR: Cell = (403, "NOT_THE_AUTHOR");
const MUTED: Cell = (403, "MEMBER_MUTED");
const STAYS: Cell = (403, "CANNOT_LEAVE_CONVERSATION");
const WORLD: Cell = (403, "FORBIDDEN");
const NO_INVITE: Cell = (404, "INVITATION_NOT_FOUND");
const NO_FRIEND: Cell = (403, "NOT_FRIENDS");
const NONE: Cell = (404, "NOT_FOUND");
const THERE: Cell = (409, "USER_ALREADY_IN_CONVERSATION");
const WRONG: Cell = (401, "AUTH_INVALID_CREDENTIALS");
const NO_REQUEST: Cell = (404, "FRIEND_REQUEST_NOT_FOUND");
const LARGE: Cell = (400, "TOO_MANY_MEMBERS");
const NO_GROUP: Cell = (404, "CONVERSATION_NOT_FOUND");

/// Protected: whoever has no good token is turned away before anything else is looked at.
const PROTECTED: [Cell; 6] = [
    (401, "UNAUTHORIZED"),
    (401, "INVALID_TOKEN_FORMAT"),
    (401, "INVALID_TOKEN"),
    (401, "INVALID_TOKEN"),
    (401, "TOKEN_EXPIRED"),
    (401, "INVALID_TOKEN"),
];

const fn row(
    no: &'static str,
    method: &'static str,
    path: &'static str,
    body: &'static str,
    actors: [Cell; 6],
) -> Row {
    Row {
        no,
        method,
        path,
        body,
        bad: PROTECTED,
        actors,
    }
}

const fn public(no: &'static str, path: &'static str, body: &'static str, cell: Cell) -> Row {
    Row {
        no,
        method: "POST",
        path,
        body,
        bad: [cell; 6],
        actors: [cell; 6],
    }
}

/// Every row. The columns of `row`: guest, stranger, member, muted, admin, owner.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    public("1", "/auth/register", r#"{"username":"{fresh-name}","password":"correct horse"}"#, NEW),
    public("2", "/auth/login", r#"{"username":"{target-name}","password":"correct horse"}"#, OK),
    public("3", "/auth/guest", "", NEW),
    public("4", "/auth/refresh", r#"{"refreshToken":"{fresh-refresh}"}"#, OK),
    // A moment ago: a repeat. Of a session that was ended: refused.
    public("4a", "/auth/refresh", r#"{"refreshToken":"{used-refresh}"}"#, OK),
    public("4c", "/auth/refresh", r#"{"refreshToken":"{ended-refresh}"}"#, (401, "INVALID_TOKEN")),
    public("4b", "/auth/refresh", r#"{"refreshToken":"{expired-refresh}"}"#, (401, "TOKEN_EXPIRED")),
    row("5", "POST", "/auth/logout", "", [OK, OK, OK, OK, OK, OK]),
    row("6", "GET", "/users/profile", "", [OK, OK, OK, OK, OK, OK]),
    row("7", "PUT", "/users/profile", r#"{"avatarUrl":"https://example.org/a.png"}"#, [GUEST, OK, OK, OK, OK, OK]),
    row("8", "GET", "/users/search?q=someone", "", [GUEST, OK, OK, OK, OK, OK]),
    row("9", "GET", "/conversations", "", [OK, OK, OK, OK, OK, OK]),
    row("10", "POST", "/conversations", r#"{"type":2,"name":"new","members":["{target}"]}"#, [GUEST, NEW, NEW, NEW, NEW, NEW]),
    row("10a", "POST", "/conversations", r#"{"type":1,"members":["{fresh}"]}"#, [GUEST, NEW, NEW, NEW, NEW, NEW]),
    row("11", "GET", "/conversations/{group}", "", [OUT, OUT, OK, OK, OK, OK]),
    row("11a", "GET", "/conversations/world", "", [OK, OK, OK, OK, OK, OK]),
    row("11b", "GET", "/conversations/g_1234567890", "", [NO_GROUP, NO_GROUP, NO_GROUP, NO_GROUP, NO_GROUP, NO_GROUP]),
    row("12", "PUT", "/conversations/{group}", r#"{"name":"renamed"}"#, [OUT, OUT, LOW, LOW, OK, OK]),
    row("12a", "PUT", "/conversations/world", r#"{"name":"mine"}"#, [WORLD, WORLD, WORLD, WORLD, WORLD, WORLD]),
    row("13", "DELETE", "/conversations/{group}", "", [OUT, OUT, LOW, LOW, LOW, OK]),
    row("13a", "DELETE", "/conversations/world", "", [WORLD, WORLD, WORLD, WORLD, WORLD, WORLD]),
    row("14", "GET", "/conversations/{group}/messages", "", [OUT, OUT, OK, OK, OK, OK]),
    row("14a", "GET", "/conversations/world/messages", "", [OK, OK, OK, OK, OK, OK]),
    row("15", "POST", "/conversations/{group}/messages", r#"{"messageType":1,"content":"hi"}"#, [OUT, OUT, NEW, MUTED, NEW, NEW]),
    row("15a", "POST", "/conversations/world/messages", r#"{"messageType":1,"content":"hi"}"#, [NEW, NEW, NEW, NEW, NEW, NEW]),
    row("16", "DELETE", "/conversations/{group}/messages/{message}", "", [OUT, OUT, LOW, LOW, OK, OK]),
    row("16a", "DELETE", "/conversations/{group}/messages/{message}?for=me", "", [OUT, OUT, OK, OK, OK, OK]),
    row("17", "PUT", "/conversations/{group}/read", r#"{"seqId":1}"#, [OUT, OUT, OK, OK, OK, OK]),
    row("17a", "PUT", "/conversations/world/read", r#"{"seqId":1}"#, [OK, OK, OK, OK, OK, OK]),
    row("18", "GET", "/conversations/{group}/members", "", [OUT, OUT, OK, OK, OK, OK]),
    // The default settings let every member invite; groups/members.rs shows the other setting.
    row("19", "POST", "/conversations/{group}/members", r#"{"members":["{fresh}"]}"#, [OUT, OUT, NEW, NEW, NEW, NEW]),
    row("20", "DELETE", "/conversations/{group}/members/{target}", "", [OUT, OUT, LOW, LOW, OK, OK]),
    row("20a", "DELETE", "/conversations/{group}/members/{self}", "", [OUT, OUT, OK, OK, OK, STAYS]),
    row("20b", "DELETE", "/conversations/{group}/members/{owner}", "", [OUT, OUT, LOW, LOW, LOW, STAYS]),
    row("21", "PUT", "/conversations/{group}/members/{target}", r#"{"role":2}"#, [OUT, OUT, LOW, LOW, LOW, OK]),
    row("21a", "PUT", "/conversations/{group}/members/{target}", r#"{"role":3}"#, [OUT, OUT, LOW, LOW, LOW, OK]),
    row("22", "GET", "/friends/requests", "", [GUEST, OK, OK, OK, OK, OK]),
    row("23", "POST", "/friends/requests", r#"{"targetUserId":"{fresh}"}"#, [GUEST, NEW, NEW, NEW, NEW, NEW]),
    // The request went to the member.
    row("24", "PUT", "/friends/requests/{request}", r#"{"action":"reject"}"#, [GUEST, NO_REQUEST, OK, NO_REQUEST, NO_REQUEST, NO_REQUEST]),
    row("25", "GET", "/friends", "", [GUEST, OK, OK, OK, OK, OK]),
    row("26", "POST", "/conversations/world/join", "", [OK, OK, OK, OK, OK, OK]),
    row("27", "DELETE", "/friends/{fresh}", "", [GUEST, NO_FRIEND, NO_FRIEND, NO_FRIEND, NO_FRIEND, NO_FRIEND]),
    row("28", "POST", "/friends/{fresh}/block", "", [GUEST, OK, OK, OK, OK, OK]),
    row("29", "DELETE", "/friends/{fresh}/block", "", [GUEST, OK, OK, OK, OK, OK]),
    row("30", "GET", "/sessions", "", [OK, OK, OK, OK, OK, OK]),
    row("31", "DELETE", "/sessions/{foreign-session}", "", [NONE, NONE, NONE, NONE, NONE, NONE]),
    row("31a", "DELETE", "/sessions/{own-session}", "", [OK, OK, OK, OK, OK, OK]),
    row("32", "DELETE", "/sessions", "", [OK, OK, OK, OK, OK, OK]),
    row("33", "PUT", "/users/password", r#"{"oldPassword":"correct horse","newPassword":"correct horse"}"#, [GUEST, OK, OK, OK, OK, OK]),
    row("33a", "PUT", "/users/password", r#"{"oldPassword":"a wrong one","newPassword":"another horse"}"#, [GUEST, WRONG, WRONG, WRONG, WRONG, WRONG]),
    row("35", "DELETE", "/users/account", r#"{"password":"correct horse"}"#, [OK, OK, OK, OK, OK, OK]),
    row("35a", "DELETE", "/users/account", r#"{"password":"a wrong one"}"#, [OK, WRONG, WRONG, WRONG, WRONG, WRONG]),
    row("34", "POST", "/auth/upgrade", r#"{"username":"{fresh-name}","password":"correct horse"}"#, [OK, WORLD, WORLD, WORLD, WORLD, WORLD]),
    row("36", "GET", "/invitations", "", [GUEST, OK, OK, OK, OK, OK]),
    row("37", "PUT", "/invitations/{invitation}", r#"{"action":"accept"}"#, [GUEST, NO_INVITE, NO_INVITE, NO_INVITE, NO_INVITE, NO_INVITE]),
    Row { method: "GET", ..public("38", "/auth/challenge", "", OK) },
    row("39", "GET", "/friends/blocked", "", [GUEST, OK, OK, OK, OK, OK]),
    row("40", "GET", "/conversations/{group}/read-by?seq=1", "", [OUT, OUT, OK, OK, OK, OK]),
    row("40a", "GET", "/conversations/world/read-by?seq=1", "", [LARGE, LARGE, LARGE, LARGE, LARGE, LARGE]),
    row("41", "PUT", "/conversations/{group}/members/{target}/mute", r#"{"until":0}"#, [OUT, OUT, LOW, LOW, OK, OK]),
    row("41a", "PUT", "/conversations/{group}/members/{owner}/mute", r#"{"until":0}"#, [OUT, OUT, LOW, LOW, LOW, LOW]),
    row("42", "POST", "/conversations/{group}/invitations", "{}", [GUEST, OUT, NEW, NEW, NEW, NEW]),
    row("43", "GET", "/conversations/{group}/invitations", "", [GUEST, OUT, OK, OK, OK, OK]),
    row("44", "DELETE", "/conversations/{group}/invitations/{link}", "", [GUEST, OUT, LOW, LOW, OK, OK]),
    row("45", "POST", "/invitations/{link}/accept", "", [GUEST, OK, OK, OK, OK, OK]),
    row("45a", "POST", "/invitations/0123456789abcdef0123456789abcdef/accept", "", [GUEST, NO_INVITE, NO_INVITE, NO_INVITE, NO_INVITE, NO_INVITE]),
    row("46", "PUT", "/conversations/{group}/my", r#"{"archived":true}"#, [OUT, OUT, OK, OK, OK, OK]),
    row("46a", "PUT", "/conversations/world/my", r#"{"archived":true}"#, [OK, OK, OK, OK, OK, OK]),
    row("47", "POST", "/conversations/{group}/join-requests", "{}", [GUEST, NEW, THERE, THERE, THERE, THERE]),
    row("48", "GET", "/conversations/{group}/join-requests", "", [GUEST, OUT, LOW, LOW, OK, OK]),
    row("49", "GET", "/conversations/{group}/join-requests/{asker}", "", [GUEST, OUT, LOW, LOW, OK, OK]),
    row("50", "PUT", "/conversations/{group}/join-requests/{asker}", r#"{"action":"accept"}"#, [GUEST, OUT, LOW, LOW, OK, OK]),
    row("50a", "PUT", "/conversations/{group}/join-requests/{asker}", r#"{"action":"reject"}"#, [GUEST, OUT, LOW, LOW, OK, OK]),
    row("51", "PUT", "/conversations/{group}/messages/{message}", r#"{"content":"x"}"#, [OUT, OUT, AUTHOR, MUTED, AUTHOR, OK]),
    row("52", "GET", "/conversations/{group}/changes?after_rev=0", "", [OUT, OUT, OK, OK, OK, OK]),
    row("53", "PUT", "/conversations/{group}/messages/{message}/reactions/{emoji}", "", [OUT, OUT, OK, MUTED, OK, OK]),
    row("54", "DELETE", "/conversations/{group}/messages/{message}/reactions/{emoji}", "", [OUT, OUT, OK, OK, OK, OK]),
    row("55", "GET", "/conversations/{group}/messages/{message}/reactions", "", [OUT, OUT, OK, OK, OK, OK]),
    row("56", "GET", "/conversations/{group}/pins", "", [OUT, OUT, OK, OK, OK, OK]),
    row("57", "PUT", "/conversations/{group}/pins/{message}", "", [OUT, OUT, LOW, MUTED, OK, OK]),
    row("58", "DELETE", "/conversations/{group}/pins/{message}", "", [OUT, OUT, LOW, MUTED, OK, OK]),
    row("59", "DELETE", "/conversations/{group}/history", "", [OUT, OUT, OK, OK, OK, OK]),
    row("59a", "DELETE", "/conversations/world/history", "", [OK, OK, OK, OK, OK, OK]),
    row("60", "GET", "/conversations/{group}/hidden", "", [OUT, OUT, OK, OK, OK, OK]),
    row("61", "PUT", "/conversations/{group}/hidden/{message}", "", [OUT, OUT, OK, OK, OK, OK]),
    row("62", "PUT", "/conversations/{group}/announcement/read", r#"{"version":1}"#, [OUT, OUT, OK, OK, OK, OK]),
    row("63", "GET", "/conversations/{group}/announcement/readers", "", [OUT, OUT, OK, OK, OK, OK]),
    row("64", "GET", "/conversations/{group}/messages/{message}/former-texts", "", [OUT, OUT, LOW, LOW, OK, OK]),
    row("41b", "PUT", "/conversations/world/members/{target}/mute", r#"{"until":0}"#, [WORLD, WORLD, WORLD, WORLD, WORLD, WORLD]),
];

/// The index of the contract, rows 1 to 64 in order, below `/api`.
pub const ENDPOINTS: [(&str, &str); 64] = [
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("POST", "/auth/guest"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("GET", "/users/profile"),
    ("PUT", "/users/profile"),
    ("GET", "/users/search"),
    ("GET", "/conversations"),
    ("POST", "/conversations"),
    ("GET", "/conversations/{id}"),
    ("PUT", "/conversations/{id}"),
    ("DELETE", "/conversations/{id}"),
    ("GET", "/conversations/{id}/messages"),
    ("POST", "/conversations/{id}/messages"),
    ("DELETE", "/conversations/{id}/messages/{messageId}"),
    ("PUT", "/conversations/{id}/read"),
    ("GET", "/conversations/{id}/members"),
    ("POST", "/conversations/{id}/members"),
    ("DELETE", "/conversations/{id}/members/{userId}"),
    ("PUT", "/conversations/{id}/members/{userId}"),
    ("GET", "/friends/requests"),
    ("POST", "/friends/requests"),
    ("PUT", "/friends/requests/{requestId}"),
    ("GET", "/friends"),
    ("POST", "/conversations/world/join"),
    ("DELETE", "/friends/{userId}"),
    ("POST", "/friends/{userId}/block"),
    ("DELETE", "/friends/{userId}/block"),
    ("GET", "/sessions"),
    ("DELETE", "/sessions/{sessionId}"),
    ("DELETE", "/sessions"),
    ("PUT", "/users/password"),
    ("POST", "/auth/upgrade"),
    ("DELETE", "/users/account"),
    ("GET", "/invitations"),
    ("PUT", "/invitations/{invitationId}"),
    ("GET", "/auth/challenge"),
    ("GET", "/friends/blocked"),
    ("GET", "/conversations/{id}/read-by"),
    ("PUT", "/conversations/{id}/members/{userId}/mute"),
    ("POST", "/conversations/{id}/invitations"),
    ("GET", "/conversations/{id}/invitations"),
    ("DELETE", "/conversations/{id}/invitations/{code}"),
    ("POST", "/invitations/{code}/accept"),
    ("PUT", "/conversations/{id}/my"),
    ("POST", "/conversations/{id}/join-requests"),
    ("GET", "/conversations/{id}/join-requests"),
    ("GET", "/conversations/{id}/join-requests/{userId}"),
    ("PUT", "/conversations/{id}/join-requests/{userId}"),
    ("PUT", "/conversations/{id}/messages/{messageId}"),
    ("GET", "/conversations/{id}/changes"),
    (
        "PUT",
        "/conversations/{id}/messages/{messageId}/reactions/{emoji}",
    ),
    (
        "DELETE",
        "/conversations/{id}/messages/{messageId}/reactions/{emoji}",
    ),
    ("GET", "/conversations/{id}/messages/{messageId}/reactions"),
    ("GET", "/conversations/{id}/pins"),
    ("PUT", "/conversations/{id}/pins/{messageId}"),
    ("DELETE", "/conversations/{id}/pins/{messageId}"),
    ("DELETE", "/conversations/{id}/history"),
    ("GET", "/conversations/{id}/hidden"),
    ("PUT", "/conversations/{id}/hidden/{messageId}"),
    ("PUT", "/conversations/{id}/announcement/read"),
    ("GET", "/conversations/{id}/announcement/readers"),
    (
        "GET",
        "/conversations/{id}/messages/{messageId}/former-texts",
    ),
];
