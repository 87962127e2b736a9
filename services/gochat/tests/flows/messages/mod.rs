//! Sending and receiving in single chats; what holds for every conversation is told here.

mod content;
mod delivery;
mod refusals;
mod replay;
mod words;
