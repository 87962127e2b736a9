//! What the SQL adapters share: rows, values, and what is computed between statements.

pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod changes;
pub(crate) mod facts;
pub(crate) mod former;
pub(crate) mod friends;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod mentions;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod reactions;
pub(crate) mod row;
pub(crate) mod text;
