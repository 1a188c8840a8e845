//! Where tensors live: one wgpu device for computing and drawing, or the CPU.
//!
//! Software Vulkan adapters draw windows well enough, but computing on them is far slower than Burn's `flex` backend, so
//! `auto` passes them over. A CUDA device would be one more [`Kind`] behind a cargo feature of Burn's.

mod cards;
mod choice;
pub mod tuning;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::wgpu::{WgpuOptions, WgpuSetup};
use burn::tensor::{DType, Device, DeviceKind};
use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};

#[cfg(test)]
pub(crate) use cards::two_equal_cards;
pub use cards::{Adapter, Card, adapters, cards};
pub use choice::{Choice, ChoiceError};

/// The environment variable that asks for a compiler of kernels, `wgsl` or `spirv`, whatever the adapter.
const COMPILER: &str = "CUBECL_WGPU_COMPILER";

/// How precisely a training multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Everything in single precision.
    #[default]
    F32,
    /// Convolutions multiply half floats or brain floats and add up in single precision; weights, maps, batch norm and Adam stay
    /// in single precision.
    Mixed,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
        })
    }
}

/// What a device's convolutions multiply. Sums are always in single precision, and so are the weights and maps themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operands {
    /// Single precision.
    #[default]
    F32,
    /// Half floats: 11 significant bits, up to 65504.
    F16,
    /// Brain floats: 8 significant bits, with the range of single precision.
    Bf16,
    /// Single precision rounded to brain floats, where there are no units for these: the same numbers, no faster.
    Rounded,
}

impl Operands {
    /// The type that packed weights are stored in.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 | Self::Rounded => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    /// Whether small gradients would be lost without a scaled loss.
    pub fn needs_loss_scale(self) -> bool {
        self == Self::F16
    }
}

/// Which kind of hardware computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A graphics card through wgpu.
    Gpu,
    /// A graphics driver that runs on the CPU (lavapipe, WARP): for tests of correctness only.
    Software,
    /// Burn's `flex` backend.
    Cpu,
}

/// Why no device could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// `--device gpu` on a machine without one.
    #[error(
        "no graphics card was found ({found}); install its Vulkan driver, or use --device cpu. `zscape doctor` tells more"
    )]
    NoGpu {
        /// What there is instead.
        found: String,
    },
    /// A card that this machine does not have.
    #[error(
        "there is no graphics card {asked}; this machine has {list}. Use one of these, --device auto or --device cpu"
    )]
    NoSuchCard {
        /// The number or the part of a name.
        asked: String,
        /// The cards.
        list: String,
    },
    /// A name that several cards have.
    #[error("several graphics cards match {asked}: {list}. Use the number")]
    Ambiguous {
        /// The part of a name.
        asked: String,
        /// The cards that match.
        list: String,
    },
    /// The card is there but could not be opened.
    #[error("the graphics card {name} could not be opened: {cause}; use --device cpu to go on without it")]
    Open {
        /// The adapter's name.
        name: String,
        /// What wgpu said.
        cause: String,
    },
    /// The driver opened another card than the one asked for.
    #[error(
        "the driver opened {opened} instead of {asked}: its list of cards changed meanwhile. Try again, or name the card instead of \
         its number"
    )]
    AnotherCard {
        /// The card asked for.
        asked: String,
        /// The card that was opened.
        opened: String,
    },
}

/// The device that everything computes on.
#[derive(Clone)]
pub struct Compute {
    /// Burn's device, without gradients.
    pub device: Device,
    /// What it is.
    pub kind: Kind,
    /// Its name, for people.
    pub name: String,
    /// Bytes of the graphics card's memory, where its driver says so.
    pub memory: Option<u64>,
    /// The wgpu handles that Burn computes on, for the window to draw with: one device for both.
    pub wgpu: Option<WgpuSetup>,
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compute({:?}, {})", self.kind, self.name)
    }
}

impl Compute {
    /// The CPU.
    pub fn cpu() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let name = format!("CPU, {cores} threads");
        Self { device: Device::flex(), kind: Kind::Cpu, name, memory: None, wgpu: None }
    }

    /// The software graphics driver: slow, for tests that compare the GPU's arithmetic with the CPU's.
    ///
    /// # Errors
    /// [`DeviceError::Open`] where there is none.
    pub fn software() -> Result<Self, DeviceError> {
        // A program can open a device once; afterwards it is shared.
        static OPENED: Mutex<Option<Compute>> = Mutex::new(None);
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compute) = &*opened {
            return Ok(compute.clone());
        }
        let compute =
            Self::open(Device::wgpu_options().device_kind(DeviceKind::Cpu), Kind::Software, "software adapter")?;
        if compute.compiler().as_deref() == Some("spirv") && std::env::var_os(COMPILER).is_none() {
            let cause = "this build compiles kernels to SPIR-V even for software adapters, whose drivers crash on it"
                .to_owned();
            return Err(DeviceError::Open { name: compute.name, cause });
        }
        *opened = Some(compute.clone());
        Ok(compute)
    }

    /// Opens what `choice` asks for.
    ///
    /// # Errors
    /// [`DeviceError`] when a graphics card was demanded and there is none, or it cannot be opened, or it is another one than the
    /// one named.
    pub fn choose(choice: &Choice) -> Result<Self, DeviceError> {
        if *choice == Choice::Cpu {
            return Ok(Self::cpu());
        }
        let Some(card) = Card::find(choice)? else { return Ok(Self::cpu()) };
        match Self::of_card(card) {
            Err(error) if *choice == Choice::Auto => {
                tracing::warn!("{error}");
                Ok(Self::cpu())
            }
            opened => opened,
        }
    }

    /// The client of a device that kernels are launched on; none for the CPU.
    fn client(&self) -> Option<Client> {
        match self.device.as_dispatch() {
            DispatchDevice::Cube(device) => Some(device.client()),
            _ => None,
        }
    }

    /// What kernels are compiled to, `spirv`, `wgsl` or `msl`; none on the CPU.
    pub fn compiler(&self) -> Option<String> {
        let name = self.client()?.name().to_owned();
        Some(name.trim_start_matches("wgpu<").trim_end_matches('>').to_owned())
    }

    /// Bytes of a card's memory that this program has taken; none for the CPU, or where nobody knows.
    pub fn memory_in_use(&self) -> Option<u64> {
        Some(self.device.memory_pool_usage()?.bytes_reserved)
    }

    /// Opens one card, and checks that it is the one.
    fn of_card(card: &Card) -> Result<Self, DeviceError> {
        tuning::keep();
        let opened = Self::open(card.options(), card.kind(), card.name())?;
        if let Some(info) = opened.wgpu.as_ref().map(|setup| setup.adapter.get_info())
            && !card.is(&info)
        {
            let name =
                |name: &str, bus: &str| if bus.is_empty() { name.to_owned() } else { format!("{name} at {bus}") };
            return Err(DeviceError::AnotherCard {
                asked: name(card.name(), card.bus()),
                opened: name(&info.name, &info.device_pci_bus_id),
            });
        }
        Ok(opened)
    }

    /// What convolutions multiply in this precision; and, where that is not what was asked for, why.
    pub fn operands(&self, precision: Precision) -> (Operands, Option<String>) {
        if precision == Precision::F32 {
            return (Operands::F32, None);
        }
        let Some(client) = self.client() else {
            let reason = format!("mixed precision needs a graphics card: {} computes in single precision", self.name);
            return (Operands::F32, Some(reason));
        };
        let multiplies = |kind| {
            let (operand, sum) = (ElemType::Float(kind), ElemType::Float(FloatKind::F32));
            let sizes = &client.features().matmul.cmma;
            sizes.iter().any(|size| size.a_type == operand && size.b_type == operand && size.cd_type == sum)
        };
        // Brain floats have the range of single precision, so they need no scaled loss.
        if multiplies(FloatKind::BF16) {
            (Operands::Bf16, None)
        } else if multiplies(FloatKind::F16) {
            (Operands::F16, None)
        } else {
            let reason = format!(
                "{} offers no tensor cores to this program: mixed precision rounds as they would, and gains no speed",
                self.name
            );
            (Operands::Rounded, Some(reason))
        }
    }

    fn open(options: WgpuOptions, kind: Kind, name: &str) -> Result<Self, DeviceError> {
        let (device, setup) = options
            .init_with_setup()
            .map_err(|cause| DeviceError::Open { name: name.to_owned(), cause: cause.to_string() })?;
        let name = setup.adapter.get_info().name;
        let memory = match device.as_dispatch() {
            DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
            _ => None,
        };
        Ok(Self { device, kind, name, memory, wgpu: Some(setup) })
    }
}
#[cfg(test)]
impl Compute {
    /// The software adapter of all tests of this crate: a program can open it once.
    pub fn shared_software() -> &'static Self {
        static SOFTWARE: std::sync::LazyLock<Compute> =
            std::sync::LazyLock::new(|| Compute::software().expect("a software Vulkan driver, as the README names it"));
        &SOFTWARE
    }
}

/// Whether a device's tensors lie on a graphics card, or on the software that stands in for one.
pub fn on_card(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Cube(_))
}

/// How a graphics card's memory does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// There is none left.
    Memory,
    /// What was asked for is larger than the card's driver gives in one piece, however much is free.
    Piece,
}

/// Whether an error of a device is about its memory, by what CubeCL, wgpu and Vulkan say; a panic repeats it.
pub fn shortage(error: &str) -> Option<Shortage> {
    const SAYS: [(&str, Shortage); 8] = [
        // cubecl-runtime's IoError and LaunchError.
        ("out of device memory allocating", Shortage::Memory),
        ("couldn't map storage for a deferred allocation", Shortage::Memory),
        ("an out-of-memory error happened during launch", Shortage::Memory),
        ("can't allocate buffer of size", Shortage::Piece),
        // wgpu's Error as cubecl-wgpu panics with it, wgpu-core's DeviceError, Vulkan's result.
        ("wgpu error: out of memory", Shortage::Memory),
        ("not enough memory left", Shortage::Memory),
        ("a device memory allocation has failed", Shortage::Memory),
        // wgpu-core's CreateBufferError.
        ("is greater than the maximum buffer size", Shortage::Piece),
    ];
    let text = error.to_lowercase();
    let said = SAYS.into_iter().find(|(says, _)| text.contains(says)).map(|(_, shortage)| shortage);
    said.or((text.trim() == "out of memory").then_some(Shortage::Memory))
}

/// How much of its priority a thread keeps that gives way, of 0 to 99: on Linux it is five steps nicer than others and keeps a
/// quarter of a core that somebody else wants too, so that a window that is painted without a pause does not stop training.
const GIVING_WAY: u8 = 36;

/// Has this thread, and those that it starts, give way to all others of the machine. Where the system refuses, it goes on
/// as before.
pub fn give_way() {
    use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
    let value = ThreadPriorityValue::try_from(GIVING_WAY).expect("it is below 100");
    if let Err(cause) = set_current_thread_priority(ThreadPriority::Crossplatform(value)) {
        tracing::debug!("a computing thread keeps its priority: {cause:?}");
    }
}

#[cfg(test)]
mod tests {
    use cubecl::server::{IoError, LaunchError};

    use super::*;

    #[test]
    fn a_full_card_is_known_by_what_the_libraries_say() {
        let wgpu = wgpu::Error::OutOfMemory { source: Box::new(std::io::Error::other("Not enough memory left.")) };
        for text in [
            IoError::OutOfMemory { size: 1 << 30, backtrace: Default::default() }.to_string(),
            LaunchError::OutOfMemory { reason: "x".to_owned(), backtrace: Default::default() }.to_string(),
            wgpu.to_string(),
            // As cubecl-wgpu panics of an error that nobody awaits.
            format!("wgpu error: {wgpu}"),
            "training broke: Not enough memory left.".to_owned(),
            "Unknown error happened during execution: A device memory allocation has failed".to_owned(),
        ] {
            assert_eq!(shortage(&text), Some(Shortage::Memory), "{text}");
        }
        for text in [
            IoError::BufferTooBig { size: 1 << 40, backtrace: Default::default() }.to_string(),
            "In Device::create_buffer: Buffer size 5368709120 is greater than the maximum buffer size (4294967296)"
                .to_owned(),
        ] {
            assert_eq!(shortage(&text), Some(Shortage::Piece), "{text}");
        }
        for text in [
            "The device is poisoned: Unknown: Device lost",
            "Parent device is lost",
            "Too much shared memory requested.\nRequested 70000 bytes, maximum 49152 bytes available.",
            "couldn't find resource for that handle: it is gone",
        ] {
            assert_eq!(shortage(text), None, "{text}");
        }
    }
}
