//! Gateways as small numbers.

use std::sync::Arc;

use hashbrown::HashMap;

/// A gateway's place in a [`GatewayTable`]. Means nothing outside the process that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayIx(u32);

impl GatewayIx {
    /// The number, dense from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Instance ids of gateways ↔ [`GatewayIx`]. Plans carry the number, records the name.
///
/// Grows with the number of distinct instance ids, which are reused by design.
///
/// ```
/// use gochat_core::fanout::GatewayTable;
/// let mut table = GatewayTable::default();
/// let one = table.intern("gateway-1");
/// assert_eq!(table.intern("gateway-1"), one);
/// assert_eq!(&**table.name(one), "gateway-1");
/// ```
#[derive(Debug, Clone, Default)]
pub struct GatewayTable {
    by_name: HashMap<Arc<str>, GatewayIx>,
    names: Vec<Arc<str>>,
}

impl GatewayTable {
    /// The number of this instance id, new or known.
    pub fn intern(&mut self, name: &str) -> GatewayIx {
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        let name: Arc<str> = name.into();
        let ix = GatewayIx(self.names.len() as u32);
        self.names.push(Arc::clone(&name));
        self.by_name.insert(name, ix);
        ix
    }

    /// The instance id behind a number of *this* table.
    ///
    /// # Panics
    /// When the number comes from another table.
    pub fn name(&self, ix: GatewayIx) -> &Arc<str> {
        &self.names[ix.index()]
    }

    /// How many instance ids are known.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no instance id is known yet.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
