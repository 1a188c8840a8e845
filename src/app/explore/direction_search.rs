//! The directions that the worker found in the open model.

use std::collections::HashMap;
use std::sync::Arc;

use super::worker::{ExplorerRequest, ExplorerWorker};
use crate::latent::directions::{DirectionMethod, LatentDirection};

/// Directions that the worker found in the open model, by method.
#[derive(Default)]
pub(super) struct DirectionSearch {
    found: HashMap<DirectionMethod, Arc<[LatentDirection]>>,
    requested: Vec<DirectionMethod>,
}

impl DirectionSearch {
    /// The directions that a method finds, once the worker has them. The first call requests them.
    pub fn find(&mut self, worker: &ExplorerWorker, method: DirectionMethod) -> Option<Arc<[LatentDirection]>> {
        if !self.requested.contains(&method) {
            self.requested.push(method);
            worker.send(ExplorerRequest::FindDirections(method));
        }
        self.found.get(&method).cloned()
    }

    /// All directions that were found so far.
    pub fn all(&self) -> impl Iterator<Item = &LatentDirection> {
        [DirectionMethod::Ganspace, DirectionMethod::Sefa, DirectionMethod::Raw]
            .iter()
            .filter_map(|method| self.found.get(method))
            .flat_map(|directions| directions.iter())
    }

    pub fn insert(&mut self, method: DirectionMethod, directions: Vec<LatentDirection>) {
        self.found.insert(method, directions.into());
    }
}
