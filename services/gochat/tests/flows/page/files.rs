//! What the page is made of, as browsers are told.

use bytes::Bytes;

use crate::kit::Server;

const FILES: [(&str, &str); 3] = [
    ("/", "text/html; charset=utf-8"),
    ("/chat.css", "text/css; charset=utf-8"),
    ("/chat.js", "text/javascript; charset=utf-8"),
];

#[tokio::test]
async fn files_of_the_page_come_with_a_policy_and_once() {
    let server = Server::shared().await;
    for (path, content_type) in FILES {
        let got = server.http().raw("GET", path, &[], Bytes::new()).await;
        assert_eq!(
            (got.status, got.header("content-type")),
            (200, content_type)
        );
        let policy = got.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("require-trusted-types-for 'script'"));
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert_eq!(got.header("cache-control"), "no-cache");
        let known = [("if-none-match", got.header("etag"))];
        let again = server.http().raw("GET", path, &known, Bytes::new()).await;
        assert_eq!(
            (again.status, again.header("etag")),
            (304, got.header("etag"))
        );
    }
}

#[tokio::test]
async fn without_the_setting_there_is_no_page() {
    let Some(server) = Server::with(&["gateway.http.pages=false"]).await else {
        return;
    };
    for (path, _) in FILES {
        let got = server.http().raw("GET", path, &[], Bytes::new()).await;
        got.refused(404, "NOT_FOUND");
    }
}
