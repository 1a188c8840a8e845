//! Undo and redo: whole sessions, which are small.

use crate::latent::session::Session;

/// Changes that can be undone.
const KEPT: usize = 200;

pub(super) struct Undo {
    past: Vec<Session>,
    now: Session,
    future: Vec<Session>,
}

impl Undo {
    pub fn new(session: Session) -> Self {
        Self { past: Vec::new(), now: session, future: Vec::new() }
    }

    /// Remembers the session if it changed; true when it did.
    pub fn note(&mut self, session: &Session) -> bool {
        if *session == self.now {
            return false;
        }
        self.past.push(std::mem::replace(&mut self.now, session.clone()));
        if self.past.len() > KEPT {
            self.past.remove(0);
        }
        self.future.clear();
        true
    }

    /// The session as it was last noted.
    pub fn now(&self) -> &Session {
        &self.now
    }

    /// Takes the session as what it always was: a change that nobody made is not undone.
    pub fn rebase(&mut self, session: &Session) {
        self.now = session.clone();
    }

    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    pub fn undo(&mut self, session: &mut Session) {
        self.note(session);
        if let Some(earlier) = self.past.pop() {
            self.future.push(std::mem::replace(&mut self.now, earlier));
            *session = self.now.clone();
        }
    }

    pub fn redo(&mut self, session: &mut Session) {
        if let Some(later) = self.future.pop() {
            self.past.push(std::mem::replace(&mut self.now, later));
            *session = self.now.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_go_back_and_forth_and_a_new_one_forgets_the_undone() {
        let mut session = Session::new("m".into());
        let mut undo = Undo::new(session.clone());
        assert!(!undo.note(&session) && !undo.can_undo());
        for seed in [2, 3] {
            session.seed = seed;
            assert!(undo.note(&session));
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
        undo.note(&session);
        assert!(!undo.can_redo());
        undo.undo(&mut session);
        assert_eq!(session.seed, 2);
    }
}
