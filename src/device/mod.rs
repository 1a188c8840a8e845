//! Compute devices: a graphics card through wgpu, shared with the window, or the CPU.
//!
//! [`Compute::open`] opens what a [`DeviceChoice`] names, [`cards()`] lists the graphics cards, and [`read_tensor`]
//! reads results back.
//!
//! Software Vulkan adapters are good enough to draw windows, but computing on them is far slower than on Burn's
//! `flex` CPU backend, so [`DeviceChoice::Auto`] skips them.

mod cards;
mod choice;
mod memory;
mod precision;
mod priority;
mod read;
pub mod tuning;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::wgpu::{WgpuOptions, WgpuSetup};
use burn::tensor::{Device, DeviceKind};
use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};

#[cfg(test)]
pub(crate) use cards::two_equal_cards;
pub use cards::{Adapter, Card, adapters, cards};
pub use choice::{DeviceChoice, DeviceChoiceError};
pub use memory::{MemoryShortage, memory_shortage};
pub use precision::{Operands, Precision};
pub use priority::lower_thread_priority;
pub use read::{ComputeError, read_tensor};

/// The environment variable that selects CubeCL's kernel compiler, `wgsl` or `spirv`, for all adapters.
const COMPILER: &str = "CUBECL_WGPU_COMPILER";

/// The kind of hardware that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardware {
    /// A graphics card through wgpu.
    Gpu,
    /// A graphics driver that runs on the CPU (lavapipe, WARP), for tests of correctness.
    Software,
    /// Burn's `flex` backend.
    Cpu,
}

/// Why a device cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// `--device gpu` on a machine without a graphics card.
    #[error(
        "no graphics card was found ({found}); install its Vulkan driver, or use --device cpu. `zscape doctor` gives details"
    )]
    NoGpu {
        /// The adapters found instead.
        found: String,
    },
    /// No card has this number or name.
    #[error(
        "there is no graphics card {requested}; this machine has {list}. Use one of these, --device auto or --device cpu"
    )]
    NoSuchCard {
        /// The requested number or part of a name.
        requested: String,
        /// The cards of this machine.
        list: String,
    },
    /// Several cards match a name.
    #[error("several graphics cards match {requested}: {list}. Use the card's number")]
    Ambiguous {
        /// The requested part of a name.
        requested: String,
        /// The matching cards.
        list: String,
    },
    /// The card was found but cannot be opened.
    #[error("cannot open the graphics card {name}: {error}; use --device cpu to continue without it")]
    Open {
        /// The adapter's name.
        name: String,
        /// The error of wgpu.
        error: String,
    },
    /// The driver opened another card than the requested one.
    #[error(
        "the driver opened {opened} instead of {requested}, because its list of cards changed. Try again, or use the card's name instead of \
         its number"
    )]
    AnotherCard {
        /// The requested card.
        requested: String,
        /// The opened card.
        opened: String,
    },
}

/// An open device on which everything computes.
#[derive(Clone)]
pub struct Compute {
    /// Burn's device, without gradients.
    pub device: Device,
    /// The kind of hardware.
    pub kind: Hardware,
    /// Its display name.
    pub name: String,
    /// The size of the graphics card's memory in bytes, if the driver reports it.
    pub memory: Option<u64>,
    /// The wgpu handles that Burn computes with. The window draws with the same device.
    pub wgpu: Option<WgpuSetup>,
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compute({:?}, {})", self.kind, self.name)
    }
}

impl Compute {
    /// The CPU, through Burn's `flex` backend.
    pub fn cpu() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let name = format!("CPU, {cores} threads");
        Self { device: Device::flex(), kind: Hardware::Cpu, name, memory: None, wgpu: None }
    }

    /// The software graphics driver, for tests that compare the GPU kernels with the CPU's. It is slow.
    ///
    /// # Errors
    /// [`DeviceError::Open`] if there is none, or if kernels would be compiled to SPIR-V, which crashes these
    /// drivers.
    pub fn software() -> Result<Self, DeviceError> {
        // A process can open a device only once, so it is shared.
        static OPENED: Mutex<Option<Compute>> = Mutex::new(None);
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compute) = &*opened {
            return Ok(compute.clone());
        }
        let compute = Self::open_wgpu(
            Device::wgpu_options().device_kind(DeviceKind::Cpu),
            Hardware::Software,
            "software adapter",
        )?;
        if compute.compiler().as_deref() == Some("spirv") && std::env::var_os(COMPILER).is_none() {
            let error = "this build compiles kernels to SPIR-V even for software adapters, whose drivers crash on it"
                .to_owned();
            return Err(DeviceError::Open { name: compute.name, error });
        }
        *opened = Some(compute.clone());
        Ok(compute)
    }

    /// Opens the device that `choice` names. [`DeviceChoice::Auto`] falls back to the CPU.
    ///
    /// # Errors
    /// [`DeviceError`] if the requested graphics card is missing, cannot be opened, or turns out to be another one.
    pub fn open(choice: &DeviceChoice) -> Result<Self, DeviceError> {
        if *choice == DeviceChoice::Cpu {
            return Ok(Self::cpu());
        }
        let Some(card) = Card::find(choice)? else { return Ok(Self::cpu()) };
        match Self::open_card(card) {
            Err(error) if *choice == DeviceChoice::Auto => {
                tracing::warn!("{error}");
                Ok(Self::cpu())
            }
            opened => opened,
        }
    }

    /// The CubeCL client that launches kernels. `None` on the CPU.
    fn client(&self) -> Option<Client> {
        match self.device.as_dispatch() {
            DispatchDevice::Cube(device) => Some(device.client()),
            _ => None,
        }
    }

    /// The language that kernels are compiled to: `spirv`, `wgsl` or `msl`. `None` on the CPU.
    pub fn compiler(&self) -> Option<String> {
        let name = self.client()?.name().to_owned();
        Some(name.trim_start_matches("wgpu<").trim_end_matches('>').to_owned())
    }

    /// The bytes of graphics memory that this process has reserved. `None` on the CPU, or if unknown.
    pub fn memory_in_use(&self) -> Option<u64> {
        Some(self.device.memory_pool_usage()?.bytes_reserved)
    }

    /// Opens a card and checks that the driver opened the requested one.
    fn open_card(card: &Card) -> Result<Self, DeviceError> {
        tuning::configure_cache();
        let opened = Self::open_wgpu(card.options(), card.kind(), card.name())?;
        if let Some(info) = opened.wgpu.as_ref().map(|setup| setup.adapter.get_info())
            && !card.matches(&info)
        {
            let name =
                |name: &str, bus: &str| if bus.is_empty() { name.to_owned() } else { format!("{name} at {bus}") };
            return Err(DeviceError::AnotherCard {
                requested: name(card.name(), card.pci_address()),
                opened: name(&info.name, &info.device_pci_bus_id),
            });
        }
        Ok(opened)
    }

    /// The operands of convolutions in this precision. The second value says why if the device cannot compute as
    /// requested.
    pub fn operands(&self, precision: Precision) -> (Operands, Option<String>) {
        if precision == Precision::F32 {
            return (Operands::F32, None);
        }
        let Some(client) = self.client() else {
            let reason = format!("mixed precision needs a graphics card: {} computes in single precision", self.name);
            return (Operands::F32, Some(reason));
        };
        let has_tensor_cores = |kind| {
            let (operand, sum) = (ElemType::Float(kind), ElemType::Float(FloatKind::F32));
            let sizes = &client.features().matmul.cmma;
            sizes.iter().any(|size| size.a_type == operand && size.b_type == operand && size.cd_type == sum)
        };
        // Prefer brain floats: they have the range of single precision and need no loss scaling.
        if has_tensor_cores(FloatKind::BF16) {
            (Operands::Bf16, None)
        } else if has_tensor_cores(FloatKind::F16) {
            (Operands::F16, None)
        } else {
            let reason = format!(
                "{} offers no tensor cores to this program: mixed precision rounds as they would, but is not faster",
                self.name
            );
            (Operands::Rounded, Some(reason))
        }
    }

    fn open_wgpu(options: WgpuOptions, kind: Hardware, name: &str) -> Result<Self, DeviceError> {
        let (device, setup) = options
            .init_with_setup()
            .map_err(|error| DeviceError::Open { name: name.to_owned(), error: error.to_string() })?;
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
    /// The software adapter, shared by all tests because a process can open it only once.
    pub fn shared_software() -> &'static Self {
        static SOFTWARE: std::sync::LazyLock<Compute> =
            std::sync::LazyLock::new(|| Compute::software().expect("install a software Vulkan driver; see the README"));
        &SOFTWARE
    }
}

/// Whether a device computes through wgpu, on a graphics card or a software adapter.
pub fn uses_wgpu(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Cube(_))
}
