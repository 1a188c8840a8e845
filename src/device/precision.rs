//! Numeric precision of training, and the operand types of convolutions.

use burn::tensor::DType;

/// The precision of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    F32,
    /// Convolutions multiply 16-bit floats and accumulate in single precision. Weights, activations, batch norm and
    /// Adam stay in single precision.
    Mixed,
}

/// The type of the operands that a device's convolutions multiply. Sums, weights and activations are always in single
/// precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operands {
    /// Single precision.
    #[default]
    F32,
    /// Half floats: 11 significant bits, up to 65504.
    F16,
    /// Brain floats: 8 significant bits, the range of single precision.
    Bf16,
    /// Single precision rounded to brain floats, for devices without brain-float units: the same results at the speed
    /// of single precision.
    Rounded,
}

impl Operands {
    /// The type in which packed weights are stored.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 | Self::Rounded => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    /// Whether training must scale the loss to keep small gradients from underflowing.
    pub fn needs_loss_scale(self) -> bool {
        self == Self::F16
    }
}
