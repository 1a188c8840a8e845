//! stub
use serde::{Deserialize, Serialize};
use super::dice::Dice; use super::{Sample};
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)] pub struct FaceTruth{}
impl FaceTruth { pub(super) fn random(_d:&mut Dice)->Self{Self{}} }
pub fn draw(_t:&FaceTruth,_s:usize)->Sample{todo!()}
