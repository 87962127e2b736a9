//! Small programs around GoChat; run one with `cargo run -p gochat-examples --bin <name>`.
//!
//! | program | what it shows |
//! |---|---|
//! | `chat` | a chat in the terminal: the SDK in the hands of a person |
//! | `bot` | a program that listens to the world chat and answers |
//! | `embed_core` | the rules of messaging inside a server of your own: no network, no storage, no GoChat server |
