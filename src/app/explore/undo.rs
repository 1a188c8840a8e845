//! Undo and redo. The history holds whole sessions, which are small.

use crate::latent::session::Session;

/// Changes that can be undone.
const LIMIT: usize = 200;

/// The session's history.
pub(super) struct Undo {
    past: Vec<Session>,
    current: Session,
    future: Vec<Session>,
}

impl Undo {
    pub fn new(session: Session) -> Self {
        Self { past: Vec::new(), current: session, future: Vec::new() }
    }

    /// Adds the session to the history if it changed; true when it did.
    pub fn record(&mut self, session: &Session) -> bool {
        if *session == self.current {
            return false;
        }
        self.past.push(std::mem::replace(&mut self.current, session.clone()));
        if self.past.len() > LIMIT {
            self.past.remove(0);
        }
        self.future.clear();
        true
    }

    /// The session as it was last added.
    pub fn current(&self) -> &Session {
        &self.current
    }

    /// Replaces the newest session of the history: the change is not undone, because no user made it.
    pub fn replace_current(&mut self, session: &Session) {
        self.current = session.clone();
    }

    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    pub fn undo(&mut self, session: &mut Session) {
        self.record(session);
        if let Some(earlier) = self.past.pop() {
            self.future.push(std::mem::replace(&mut self.current, earlier));
            *session = self.current.clone();
        }
    }

    pub fn redo(&mut self, session: &mut Session) {
        if let Some(later) = self.future.pop() {
            self.past.push(std::mem::replace(&mut self.current, later));
            *session = self.current.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_undone_and_redone_until_a_new_one_discards_the_future() {
        let mut session = Session::new("m".into());
        let mut undo = Undo::new(session.clone());
        assert!(!undo.record(&session) && !undo.can_undo());
        for seed in [2, 3] {
            session.seed = seed;
            assert!(undo.record(&session));
        }
        undo.undo(&mut session);
        assert_eq!(session.seed, 2);
        undo.undo(&mut session);
        assert_eq!(session.seed, 1);
        undo.undo(&mut session);
        assert_eq!(session.seed, 1);
        undo.redo(&mut session);
        assert_eq!(session.seed, 2);
        session.seed = 9;
        undo.record(&session);
        assert!(!undo.can_redo());
        undo.undo(&mut session);
        assert_eq!(session.seed, 2);
    }
}
