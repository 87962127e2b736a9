//! The rules of tokens: which key signs them, and which keys verify them.

pub mod keys;
