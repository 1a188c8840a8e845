//! Values derived from the session, computed once for each change of it and not in every frame.

use super::worker::Zs;
use crate::latent::arithmetic::ArithmeticResult;
use crate::latent::directions::LatentDirection;
use crate::latent::plane::LatentPlane;
use crate::latent::session::{Point, Session};
use crate::latent::vector;
use crate::latent::walk::LatentWalk;
use crate::model::{ModelConfig, Preset};

/// Frames from one keyframe of the walk to the next.
pub(super) const STEPS: usize = 10;
/// Images in a row of the turn (figure 8).
pub(super) const TURN_STEPS: usize = 11;
/// Images along each side of the plane's map.
pub(super) const MAP_SIDE: usize = 9;

/// The z's of everything that the panels show, for one session and model.
pub(super) struct Plans {
    session: Option<Session>,
    /// The model's configuration; a preset until a model is open.
    pub config: ModelConfig,
    pub shelf: Zs,
    /// The arithmetic's sum; `None` while all trays are empty.
    pub sum: Option<ArithmeticResult>,
    pub exemplars: Zs,
    pub averages: Zs,
    /// The result among its neighbors.
    pub results: Zs,
    /// The turn's exemplars (from, then to), and the samples that are turned.
    pub turn_exemplars: Zs,
    /// The turn's figure; empty while one of its trays is.
    pub turn: Zs,
    /// A sample with a concept, and the sample; empty without a concept.
    pub applied: Zs,
    pub walk: LatentWalk,
    pub keyframes: Zs,
    pub film: Zs,
    pub corners: Zs,
    pub map: LatentPlane,
    pub map_images: Zs,
    pub pins: Zs,
    /// The subject moved by the sliders, and the subject.
    pub moved: Zs,
}

fn none() -> Zs {
    Vec::new().into()
}

impl Default for Plans {
    fn default() -> Self {
        Self {
            session: None,
            config: ModelConfig::preset(Preset::Pytorch),
            shelf: none(),
            sum: None,
            exemplars: none(),
            averages: none(),
            results: none(),
            turn_exemplars: none(),
            turn: none(),
            applied: none(),
            walk: LatentWalk::default(),
            keyframes: none(),
            film: none(),
            corners: none(),
            map: LatentPlane::through(&[Vec::new(), Vec::new(), Vec::new()]),
            map_images: none(),
            pins: none(),
            moved: none(),
        }
    }
}

impl Plans {
    /// Computes everything again if the session or the model changed; true when it did.
    pub fn update(&mut self, session: &Session, config: &ModelConfig) -> bool {
        if self.session.as_ref() == Some(session) && self.config == *config {
            return false;
        }
        let z = |points: &[Point]| points.iter().map(|point| point.z(config)).collect::<Vec<_>>();
        keep(&mut self.shelf, z(&session.shelf));
        self.sum = session.arithmetic(config).ok();
        keep(&mut self.exemplars, self.sum.as_ref().map(ArithmeticResult::exemplars).unwrap_or_default());
        keep(&mut self.averages, self.sum.as_ref().map(|sum| sum.averages.clone()).unwrap_or_default());
        keep(&mut self.results, self.sum.as_ref().map(|sum| sum.neighbors.clone()).unwrap_or_default());
        keep(
            &mut self.turn_exemplars,
            [z(&session.turn.from), z(&session.turn.to), z(&session.turn_points())].concat(),
        );
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
        keep(&mut self.map_images, self.map.grid(MAP_SIDE));
        keep(&mut self.pins, session.pins.iter().map(|pin| self.map.at(pin.at)).collect());
        keep(&mut self.moved, vec![session.moved_subject(config), session.subject.z(config)]);
        self.session = Some(session.clone());
        self.config = config.clone();
        true
    }
}

/// Keeps the old allocation where the z's are equal: views compare pointers to notice changes.
fn keep(old: &mut Zs, new: Vec<Vec<f32>>) {
    if **old != *new {
        *old = new.into();
    }
}

/// z's that a panel derives from a key; computed again only when the key changes.
pub(super) struct CachedZs<K> {
    key: Option<K>,
    z: Zs,
}

impl<K> Default for CachedZs<K> {
    fn default() -> Self {
        Self { key: None, z: none() }
    }
}

impl<K: PartialEq> CachedZs<K> {
    pub fn get(&mut self, key: K, compute: impl FnOnce(&K) -> Vec<Vec<f32>>) -> &Zs {
        if self.key.as_ref() != Some(&key) {
            self.z = compute(&key).into();
            self.key = Some(key);
        }
        &self.z
    }
}

/// The strips of directions, one after another: `start` moved along each direction by each of `amounts` standard deviations.
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

    #[test]
    fn unchanged_zs_keep_their_allocation() {
        let config = ModelConfig { z_dim: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let mut session = Session::new("bundled:faces".into());
        let mut plans = Plans::default();
        plans.update(&session, &config);
        assert!(plans.sum.is_none() && plans.film.is_empty() && plans.turn.is_empty());
        let (map, turn) = (plans.map_images.clone(), plans.turn_exemplars.clone());
        session.trays[0].members.push(Point::Sample { seed: 1, number: 3 });
        session.pins[0].at = [0.25, 0.75];
        plans.update(&session, &config);
        assert!(Arc::ptr_eq(&map, &plans.map_images) && Arc::ptr_eq(&turn, &plans.turn_exemplars));
        assert_eq!((plans.exemplars.len(), plans.averages.len(), plans.results.len()), (1, 1, 9));
        assert_eq!(*plans.pins, [plans.map.at([0.25, 0.75])]);
    }
}
