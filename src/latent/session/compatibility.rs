//! Whether a session fits a model.

use super::{Point, Session, SessionError};
use crate::model::{ModelConfig, Provenance};

impl Session {
    /// Checks that the session fits a model: the same networks, valid ablations and boxes, and z's of the same
    /// dimension.
    ///
    /// # Errors
    /// [`SessionError::ModelDiffers`], those of [`Self::check_ablations`], or [`SessionError::Dimensions`].
    pub fn check(&self, config: &ModelConfig) -> Result<(), SessionError> {
        if let Some(saved) = self.made_with.as_ref().filter(|saved| saved.config.z_dim == config.z_dim) {
            let differs = |difference| Err(SessionError::ModelDiffers { model: self.model.clone(), difference });
            let (before, now) = (&saved.config, config);
            if before.prior != now.prior {
                return differs(format!("its prior was {}, now it is {}", before.prior, now.prior));
            }
            if (before.size, before.channels) != (now.size, now.channels) {
                let [before, now] = [before, now].map(|config| format!("{0}x{0}x{1}", config.size, config.channels));
                return differs(format!("its pictures were {before}, now they are {now}"));
            }
        }
        self.check_ablations(config)?;
        self.check_dimensions(config.z_dim)
    }

    /// Checks that every z of the session has `wanted` dimensions.
    ///
    /// # Errors
    /// [`SessionError::Dimensions`] for the first z that does not.
    pub fn check_dimensions(&self, wanted: usize) -> Result<(), SessionError> {
        let trays = self.trays.iter().flat_map(|tray| &tray.members);
        let turn = self.turn.from.iter().chain(&self.turn.to).chain(&self.turn.on);
        let points = self.shelf.iter().chain(trays).chain(turn).chain(&self.walk.keyframes).chain(&self.plane);
        let points = points.chain([&self.subject]).chain(self.applied.iter().map(|applied| &applied.on));
        let custom = points.filter_map(|point| match point {
            Point::Custom { z, .. } => Some(z.len()),
            Point::Sample { .. } => None,
        });
        let sliders = self.sliders.iter().map(|slider| &slider.direction);
        let directions = sliders.chain(&self.concepts).chain(self.axes.iter().flatten());
        let directions = directions.chain(self.applied.iter().map(|applied| &applied.direction));
        match custom.chain(directions.map(|direction| direction.vector.len())).find(|&found| found != wanted) {
            Some(found) => Err(SessionError::Dimensions { found, wanted, model: self.model.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that the ablations and boxes fit a model.
    ///
    /// # Errors
    /// [`SessionError::Ablation`] or [`SessionError::Boxes`].
    pub fn check_ablations(&self, config: &ModelConfig) -> Result<(), SessionError> {
        self.ablations.iter().try_for_each(|ablation| ablation.check(config))?;
        if !self.forget.boxes.boxes.is_empty() {
            self.forget.boxes.check(config)?;
        }
        Ok(())
    }

    /// A warning for the user if the model has been trained further, or less, since the session was saved.
    pub fn training_difference(&self, provenance: &Provenance) -> Option<String> {
        let before = &self.made_with.as_ref().filter(|saved| saved.provenance != *provenance)?.provenance;
        Some(format!(
            "{} has changed since the session was saved: it had been trained for {} steps on {}, now it is trained for {} steps on {}. The \
             same z's give different pictures",
            self.model.display(),
            before.steps,
            before.data,
            provenance.steps,
            provenance.data
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::session::SessionModel;
    use crate::model::{Preset, Prior};

    fn config() -> ModelConfig {
        ModelConfig { z_dim: 2, ..ModelConfig::preset(Preset::Pytorch) }
    }

    #[test]
    fn zs_of_another_dimension_are_refused_with_the_sessions_model() {
        let mut session = Session::new("rooms.safetensors".into());
        session.check(&config()).unwrap();
        session.shelf.push(Point::Custom { name: "p".into(), z: vec![0.0; 3] });
        let error = session.check(&config()).unwrap_err().to_string();
        assert!(error.contains("rooms.safetensors") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_replaced_model_is_detected() {
        let mut session = Session::new("a.safetensors".into());
        let provenance = Provenance { data: "faces".into(), steps: 10, ..Provenance::default() };
        session.made_with = Some(SessionModel { config: config(), provenance: provenance.clone() });
        session.check(&config()).unwrap();
        assert_eq!(session.training_difference(&provenance), None);
        let error = session.check(&ModelConfig { size: 32, ..config() }).unwrap_err().to_string();
        assert!(error.contains("a.safetensors") && error.contains("32x32"), "{error}");
        let other = if config().prior == Prior::Normal { Prior::Uniform } else { Prior::Normal };
        assert!(session.check(&ModelConfig { prior: other, ..config() }).is_err());
        // Without custom points, a session can be opened with a model of another dimension.
        session.check(&ModelConfig { z_dim: 5, ..config() }).unwrap();
        let warning = session.training_difference(&Provenance { steps: 20, ..provenance }).unwrap();
        assert!(warning.contains("10") && warning.contains("20"), "{warning}");
    }
}
