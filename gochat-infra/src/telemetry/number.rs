//! Numbers nobody can foresee well enough to matter: ids of spans, and the lots of the sampler.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = Cell::new(rand::random());
}

/// The next number: splitmix64 with a seed per thread, a few instructions and no lock.
pub(super) fn draw() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        let mut mixed = next;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

/// An id; 0 is none.
pub(super) fn id() -> u64 {
    draw().max(1)
}
