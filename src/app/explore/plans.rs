//! What follows from the session, worked out once for each change of it and not in every frame.

use super::worker::Zs;
use crate::latent::arithmetic::ArithmeticResult;
use crate::latent::directions::LatentDirection;
use crate::latent::plane::LatentPlane;
use crate::latent::session::{Point, Session};
use crate::latent::vector;
use crate::latent::walk::LatentWalk;
use crate::model::ModelConfig;

/// Frames from one keyframe of the walk to the next.
pub(super) const STEPS: usize = 10;
/// Pictures in a row of the turn (figure 8).
pub(super) const TURN_STEPS: usize = 11;
/// Pictures along each side of the pad's map.
pub(super) const LAND: usize = 9;

/// z's of everything that the tools show, and what it takes to show it.
pub(super) struct Plans {
    of: Option<(Session, ModelConfig)>,
    pub shelf: Zs,
    /// The arithmetic, unless all trays are empty.
    pub sum: Option<ArithmeticResult>,
    pub exemplars: Zs,
    pub averages: Zs,
    pub around: Zs,
    /// The turn's exemplars, from and to, and what is turned.
    pub sides: Zs,
    /// The turn's figure; empty while a side is.
    pub turn: Zs,
    /// A sample with a concept, and as it was; empty without.
    pub applied: Zs,
    pub walk: LatentWalk,
    pub keyframes: Zs,
    pub film: Zs,
    pub corners: Zs,
    pub map: LatentPlane,
    pub land: Zs,
    pub pins: Zs,
    /// The subject moved by the sliders, and as it was.
    pub moved: Zs,
}

fn none() -> Zs {
    Vec::new().into()
}

impl Default for Plans {
    fn default() -> Self {
        Self {
            of: None,
            shelf: none(),
            sum: None,
            exemplars: none(),
            averages: none(),
            around: none(),
            sides: none(),
            turn: none(),
            applied: none(),
            walk: LatentWalk::default(),
            keyframes: none(),
            film: none(),
            corners: none(),
            map: LatentPlane::through(&[Vec::new(), Vec::new(), Vec::new()]),
            land: none(),
            pins: none(),
            moved: none(),
        }
    }
}

impl Plans {
    /// Works everything out anew if the session or the model changed; true when it did.
    pub fn update(&mut self, session: &Session, config: &ModelConfig) -> bool {
        if self.of.as_ref().is_some_and(|(of, with)| of == session && with == config) {
            return false;
        }
        let z = |points: &[Point]| points.iter().map(|point| point.z(config)).collect::<Vec<_>>();
        keep(&mut self.shelf, z(&session.shelf));
        self.sum = session.arithmetic(config).ok();
        keep(&mut self.exemplars, self.sum.as_ref().map(ArithmeticResult::exemplars).unwrap_or_default());
        keep(&mut self.averages, self.sum.as_ref().map(|sum| sum.averages.clone()).unwrap_or_default());
        keep(&mut self.around, self.sum.as_ref().map(|sum| sum.neighbors.clone()).unwrap_or_default());
        keep(&mut self.sides, [z(&session.turn.from), z(&session.turn.to), z(&session.turn_points())].concat());
        keep(&mut self.turn, session.turn_rows(config, TURN_STEPS).unwrap_or_default().concat());
        let applied = session.applied.iter().flat_map(|applied| {
            let on = applied.on.z(config);
            [vector::add_scaled(&on, &applied.direction.vector, applied.amount), on]
        });
        keep(&mut self.applied, applied.collect());
        self.walk = session.walk(config);
        keep(&mut self.keyframes, self.walk.keyframes.clone());
        keep(&mut self.film, if self.walk.segments() > 0 { self.walk.frames(STEPS) } else { Vec::new() });
        keep(&mut self.corners, z(&session.plane));
        self.map = session.latent_plane(config);
        keep(&mut self.land, self.map.grid(LAND));
        keep(&mut self.pins, session.pins.iter().map(|pin| self.map.at(pin.at)).collect());
        keep(&mut self.moved, vec![session.moved_subject(config), session.subject.z(config)]);
        self.of = Some((session.clone(), config.clone()));
        true
    }
}

/// Keeps the old z's where they are the new ones, so that nobody takes them for a change.
fn keep(old: &mut Zs, new: Vec<Vec<f32>>) {
    if **old != *new {
        *old = new.into();
    }
}

/// z's that a panel works out by itself, kept while what they are worked out of is the same.
pub(super) struct Kept<K> {
    of: Option<K>,
    z: Zs,
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self { of: None, z: none() }
    }
}

impl<K: PartialEq> Kept<K> {
    pub fn of(&mut self, key: K, work: impl FnOnce(&K) -> Vec<Vec<f32>>) -> &Zs {
        if self.of.as_ref() != Some(&key) {
            self.z = work(&key).into();
            self.of = Some(key);
        }
        &self.z
    }
}

/// The strips of a list of directions, one after another: `amounts` standard deviations from `start`.
pub(super) fn strips(start: &[f32], directions: &[LatentDirection], amounts: &[f32]) -> Vec<Vec<f32>> {
    let strip = |direction: &LatentDirection| {
        amounts.iter().map(|&amount| vector::add_scaled(start, &direction.vector, amount)).collect::<Vec<_>>()
    };
    directions.iter().flat_map(strip).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Preset;

    #[test]
    fn what_did_not_change_is_the_very_same_as_before() {
        let config = ModelConfig { z_dim: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let mut session = Session::new("bundled:faces".into());
        let mut plans = Plans::default();
        plans.update(&session, &config);
        assert!(plans.sum.is_none() && plans.film.is_empty() && plans.turn.is_empty());
        let (land, sides) = (plans.land.clone(), plans.sides.clone());
        session.trays[0].members.push(Point::Sample { seed: 1, number: 3 });
        session.pins[0].at = [0.25, 0.75];
        plans.update(&session, &config);
        assert!(Arc::ptr_eq(&land, &plans.land) && Arc::ptr_eq(&sides, &plans.sides));
        assert_eq!((plans.exemplars.len(), plans.averages.len(), plans.around.len()), (1, 1, 9));
        assert_eq!(*plans.pins, [plans.map.at([0.25, 0.75])]);
    }
}
