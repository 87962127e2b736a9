//! Lies about what the timelines of groups tell.

use gochat_core::ids::UserId;
use gochat_core::message::SystemMessage;

use super::Plant;
use crate::check::observe::Observed;
use crate::check::people::Said;

/// Tells the lie; `None` when there is nothing to lie about.
pub(super) fn lie(observed: &mut Observed, plant: Plant) -> Option<()> {
    if plant == Plant::UntoldPin {
        return untold_pin(observed);
    }
    // Something that is told of the first round after the group was made.
    let tales = observed.tales.iter_mut();
    let told = tales.filter_map(|tale| tale.told.as_mut());
    let (told, at) = told.into_iter().find_map(|told| {
        let differs = |pair: &[(u64, Said)]| {
            let is_change = !pair[1].1.is_pin() && pair[1].1.content.starts_with('{');
            is_change && pair[0].1.content != pair[1].1.content
        };
        let at = told.windows(2).skip(1).position(differs)? + 1;
        Some((told, at))
    })?;
    let mut said: Vec<Said> = told.drain(..).map(|(_, said)| said).collect();
    let lie = said[at].clone();
    match plant {
        Plant::Untold => drop(said.remove(at)),
        Plant::ToldTwice => said.push(lie),
        Plant::ToldLie => said.push(Said::new(UserId::new(1)?, &SystemMessage::renamed("never"))),
        Plant::ToldDisorder => said.swap(0, at),
        Plant::ToldOfAnother => {
            said[at] = Said::new(UserId::new(1)?, &SystemMessage::parse(&lie.content)?)
        }
        _ => return None,
    }
    // The numbers have no gap: only what is told is wrong.
    *told = (1..).zip(said).collect();
    Some(())
}

fn untold_pin(observed: &mut Observed) -> Option<()> {
    let tales = observed.tales.iter_mut();
    let told = tales.filter_map(|tale| tale.told.as_mut());
    let (told, at) = told.into_iter().find_map(|told| {
        let at = told.iter().position(|(_, said)| said.is_pin())?;
        Some((told, at))
    })?;
    told.remove(at);
    let said = told.drain(..).map(|(_, said)| said);
    *told = (1..).zip(said.collect::<Vec<_>>()).collect();
    Some(())
}
