//! From a sequenced message to its effects.

use std::ops::Range;

use super::effect::{Effect, Effects, Later, Sequenced, Users};
use super::record::{Changed, Referred};
use super::store::Slot;
use super::{Live, View};
use crate::fanout::{Budget, Delivery, GatewayIx, Planner, Strategy};
use crate::ids::{ConversationId, UserId};
use crate::message::ChangeKind;

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

/// How messages of this conversation travel while this many gateways live.
pub(super) fn strategy(slot: &Slot, gateways: usize, budget: &Budget) -> Strategy {
    let listed = slot.facts.as_ref().and_then(|facts| facts.members.list());
    let members = listed.map_or(usize::MAX, <[_]>::len);
    Strategy::of(slot.id.kind(), members, gateways, budget)
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

/// A new message or change on its way out.
pub(super) struct Outgoing<'a, V> {
    pub(super) message: Sequenced,
    pub(super) changed: Option<Box<Changed>>,
    pub(super) referred: Option<Box<Referred>>,
    pub(super) author: UserId,
    /// The author's gateway.
    pub(super) gateway: GatewayIx,
    pub(super) view: &'a V,
    pub(super) live: Live<'a>,
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
        budget: &Budget,
        mut out: Outgoing<'_, V>,
        effects: &mut Effects,
    ) {
        let (message, changed) = (out.message, out.changed.take());
        let referred = out.referred.take();
        let out = &out;
        let hides_earlier = slot.facts.as_ref().is_some_and(|facts| facts.hides_earlier);
        let is_edit = changed.as_ref().is_some_and(|c| c.kind == ChangeKind::Edit);
        let withheld = is_edit && hides_earlier;
        let reached = match strategy(slot, out.live.gateways.len(), budget) {
            Strategy::Direct => {
                let plan = self.plan_of(slot, out, effects);
                effects.list.push(Effect::Persist {
                    message,
                    changed,
                    referred,
                    withheld,
                    later: plan.later,
                });
                deliver(&self.deliveries[plan.deliveries], out, effects)
            }
            Strategy::Members => {
                let members = self.list_of(slot, effects);
                effects.list.push(Effect::Persist {
                    message,
                    changed,
                    referred,
                    withheld,
                    later: Later {
                        members: true,
                        listed: true,
                        unknown: !out.live.is_current,
                        ..Later::default()
                    },
                });
                to_members(&members, out, effects)
            }
            Strategy::Deferred => {
                // The task leaves the author out, who is served at once. The author of a system
                // message may have left the group.
                let facts = slot.facts.as_ref();
                let has_left = facts.is_some_and(|facts| facts.is_stranger(slot.id, out.author));
                let author = [out.author];
                let served = if has_left { &[][..] } else { &author[..] };
                let plan = self.make_plan(served, out, effects);
                effects.list.push(Effect::Persist {
                    message,
                    changed,
                    referred,
                    withheld,
                    later: Later {
                        members: true,
                        ..plan.later
                    },
                });
                let reached = deliver(&self.deliveries[plan.deliveries], out, effects);
                effects.list.push(Effect::Fanout { message });
                reached
            }
            Strategy::Broadcast => {
                effects.list.push(Effect::Persist {
                    message,
                    changed,
                    referred,
                    withheld,
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

    /// The members of a group, which all its messages of the batch share.
    fn list_of(&mut self, slot: &mut Slot, effects: &mut Effects) -> Users {
        if let Some(ix) = slot.plan {
            return self.plans[ix].later.reached.clone();
        }
        let start = effects.users.len();
        with_members(slot, |members| effects.users.extend_from_slice(members));
        let members = start..effects.users.len();
        slot.plan = Some(self.plans.len());
        self.plans.push(BatchPlan {
            deliveries: 0..0,
            later: Later {
                reached: members.clone(),
                ..Later::default()
            },
        });
        members
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
            out.live.gateways,
            &mut effects.users,
            &mut self.deliveries,
        );
        BatchPlan {
            deliveries: start..self.deliveries.len(),
            later: Later {
                recheck: later.recheck,
                reached: later.reached,
                unknown: later.unknown,
                ..Later::default()
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

/// True when the author's gateway is among those that get it.
fn to_members<V>(members: &Users, out: &Outgoing<'_, V>, effects: &mut Effects) -> bool {
    let live = out.live.gateways;
    effects
        .list
        .extend(live.iter().map(|gateway| Effect::ToMembers {
            message: out.message,
            gateway: *gateway,
            to_origin: *gateway == out.gateway,
            members: members.clone(),
        }));
    live.contains(&out.gateway)
}

fn broadcast<V>(out: &Outgoing<'_, V>, effects: &mut Effects) -> bool {
    let message = out.message;
    for gateway in out.live.gateways.iter().copied() {
        let to_origin = gateway == out.gateway;
        effects.list.push(Effect::Broadcast {
            message,
            gateway,
            to_origin,
        });
    }
    out.live.gateways.contains(&out.gateway)
}
