//! Groups: messages, members, roles, settings.

mod invitations;
mod large;
mod lifecycle;
mod links;
mod members;
mod messages;
mod muting;
mod roles;
mod settings;
