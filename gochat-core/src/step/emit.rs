//! From a sequenced message to its effects.

use std::ops::Range;

use super::View;
use super::effect::{Effect, Effects, Later, Sequenced};
use super::store::Slot;
use crate::fanout::{Delivery, GatewayIx, Planner, Strategy};
use crate::ids::{ConversationId, UserId};

/// Direct plans of the running batch: one per conversation, shared by its messages.
#[derive(Debug, Default)]
pub(super) struct Emitter {
    planner: Planner,
    plans: Vec<BatchPlan>,
    deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone)]
struct BatchPlan {
    deliveries: Range<usize>,
    later: Later,
}

/// How messages of this conversation travel.
pub(super) fn strategy(slot: &Slot, direct_max: usize) -> Strategy {
    let listed = slot.facts.as_ref().and_then(|facts| facts.members.list());
    Strategy::of(
        slot.id.kind(),
        listed.map_or(usize::MAX, <[_]>::len),
        direct_max,
    )
}

/// Whom a direct plan of this conversation serves, in a form that needs no allocation.
pub(super) fn with_members<R>(slot: &Slot, f: impl FnOnce(&[UserId]) -> R) -> R {
    match slot.id {
        ConversationId::Single(a, b) => f(&[a, b]),
        _ => f(slot
            .facts
            .as_ref()
            .and_then(|facts| facts.members.list())
            .unwrap_or(&[])),
    }
}

/// A new message on its way out.
pub(super) struct Outgoing<'a, V> {
    pub(super) message: Sequenced,
    pub(super) author: UserId,
    /// The author's gateway.
    pub(super) gateway: GatewayIx,
    pub(super) view: &'a V,
    /// Gateways that live.
    pub(super) live: &'a [GatewayIx],
}

impl Emitter {
    /// Forgets the plans of the batch before.
    pub(super) fn begin(&mut self) {
        self.plans.clear();
        self.deliveries.clear();
    }

    /// Appends all effects of a new message.
    pub(super) fn emit<V: View>(
        &mut self,
        slot: &mut Slot,
        direct_max: usize,
        out: &Outgoing<'_, V>,
        effects: &mut Effects,
    ) {
        let message = out.message;
        let reached = match strategy(slot, direct_max) {
            Strategy::Direct => {
                let plan = self.plan_of(slot, out, effects);
                effects.list.push(Effect::Persist {
                    message,
                    later: plan.later,
                });
                deliver(&self.deliveries[plan.deliveries], out, effects)
            }
            Strategy::Deferred => {
                // The task leaves the author out, so the author is all that is left to look at.
                let plan = self.make_plan(&[out.author], out, effects);
                effects.list.push(Effect::Persist {
                    message,
                    later: plan.later,
                });
                let reached = deliver(&self.deliveries[plan.deliveries], out, effects);
                effects.list.push(Effect::Fanout { message });
                reached
            }
            Strategy::Broadcast => {
                effects.list.push(Effect::Persist {
                    message,
                    later: Later::default(),
                });
                broadcast(out, effects)
            }
        };
        if !reached {
            effects.list.push(Effect::Ack {
                message,
                gateway: out.gateway,
                replay: false,
            });
        }
    }

    fn plan_of<V: View>(
        &mut self,
        slot: &mut Slot,
        out: &Outgoing<'_, V>,
        effects: &mut Effects,
    ) -> BatchPlan {
        if let Some(ix) = slot.plan {
            return self.plans[ix].clone();
        }
        let mut plan = with_members(slot, |members| self.make_plan(members, out, effects));
        if matches!(slot.id, ConversationId::Single(..)) {
            plan.later.reached = 0..0;
        }
        slot.plan = Some(self.plans.len());
        self.plans.push(plan.clone());
        plan
    }

    fn make_plan<V: View>(
        &mut self,
        members: &[UserId],
        out: &Outgoing<'_, V>,
        effects: &mut Effects,
    ) -> BatchPlan {
        let start = self.deliveries.len();
        let later = self.planner.append(
            members,
            out.view,
            out.live,
            &mut effects.users,
            &mut self.deliveries,
        );
        BatchPlan {
            deliveries: start..self.deliveries.len(),
            later: Later {
                recheck: later.recheck,
                reached: later.reached,
                unknown: later.unknown,
            },
        }
    }
}

/// True when one of the deliveries goes to the author's gateway.
fn deliver<V>(deliveries: &[Delivery], out: &Outgoing<'_, V>, effects: &mut Effects) -> bool {
    let mut reached = false;
    for Delivery { gateway, targets } in deliveries {
        let to_origin = *gateway == out.gateway;
        reached |= to_origin;
        effects.list.push(Effect::Deliver {
            message: out.message,
            gateway: *gateway,
            to_origin,
            targets: targets.clone(),
        });
    }
    reached
}

fn broadcast<V>(out: &Outgoing<'_, V>, effects: &mut Effects) -> bool {
    let message = out.message;
    for gateway in out.live.iter().copied() {
        let to_origin = gateway == out.gateway;
        effects.list.push(Effect::Broadcast {
            message,
            gateway,
            to_origin,
        });
    }
    out.live.contains(&out.gateway)
}
