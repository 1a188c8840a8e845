//! Where tensors live: one wgpu device for computing and drawing, or the CPU.
//!
//! Software Vulkan adapters draw windows well enough, but computing on them is far slower than Burn's `flex` backend, so
//! `auto` passes them over. A CUDA device would be one more [`Kind`] behind a cargo feature of Burn's.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, DeviceKind, wgpu::WgpuSetup};
use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};

/// The environment variable that asks for a compiler of kernels, `wgsl` or `spirv`, whatever the adapter.
const COMPILER: &str = "CUBECL_WGPU_COMPILER";

/// What the person asked for with `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The best graphics card, or the CPU where there is none.
    #[default]
    Auto,
    /// A graphics card, or an error that says what is missing.
    Gpu,
    /// The CPU, whatever the machine has.
    Cpu,
}

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
    /// The card is there but could not be opened.
    #[error("the graphics card {name} could not be opened: {cause}; use --device cpu to go on without it")]
    Open {
        /// The adapter's name.
        name: String,
        /// What wgpu said.
        cause: String,
    },
}

/// A graphics adapter as the driver describes it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Adapter {
    /// The card's name.
    pub name: String,
    /// Vulkan, Metal, Dx12 or Gl.
    pub backend: String,
    /// Discrete, integrated, virtual, or software.
    pub kind: String,
    /// Driver and version.
    pub driver: String,
    /// Whether it is hardware, and so fit for computing.
    pub hardware: bool,
}

/// Every graphics adapter of this machine.
pub fn adapters() -> Vec<Adapter> {
    enumerate(wgpu::Backends::all())
}

fn enumerate(backends: wgpu::Backends) -> Vec<Adapter> {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let list = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    list.iter()
        .map(|adapter| {
            let info = adapter.get_info();
            Adapter {
                name: info.name.clone(),
                backend: info.backend.to_string(),
                kind: match info.device_type {
                    wgpu::DeviceType::DiscreteGpu => "discrete graphics card",
                    wgpu::DeviceType::IntegratedGpu => "integrated graphics",
                    wgpu::DeviceType::VirtualGpu => "virtual graphics card",
                    wgpu::DeviceType::Cpu => "software on the CPU",
                    wgpu::DeviceType::Other => "unknown kind",
                }
                .to_owned(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                hardware: is_hardware(info.device_type),
            }
        })
        .collect()
}

fn is_hardware(kind: wgpu::DeviceType) -> bool {
    matches!(kind, wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu)
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
        Self { device: Device::flex(), kind: Kind::Cpu, name: format!("CPU, {cores} threads"), wgpu: None }
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
        let compute = Self::open(DeviceKind::Cpu, Kind::Software, "software adapter")?;
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
    /// [`DeviceError`] when a graphics card was demanded and there is none, or it cannot be opened.
    pub fn choose(choice: Choice) -> Result<Self, DeviceError> {
        if choice == Choice::Cpu {
            return Ok(Self::cpu());
        }
        // OpenGL draws windows on old machines, but does not compute well enough to train.
        let adapters = enumerate(wgpu::Backends::PRIMARY);
        match (adapters.iter().find(|adapter| adapter.hardware), choice) {
            (Some(card), _) => match Self::open(DeviceKind::DefaultDevice, Kind::Gpu, &card.name) {
                Err(error) if choice == Choice::Auto => {
                    tracing::warn!("{error}");
                    Ok(Self::cpu())
                }
                opened => opened,
            },
            (None, Choice::Gpu) => Err(DeviceError::NoGpu {
                found: match adapters.first() {
                    Some(adapter) => format!("only {}, {}", adapter.name, adapter.kind),
                    None => "no graphics driver at all".to_owned(),
                },
            }),
            (None, _) => Ok(Self::cpu()),
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

    fn open(which: DeviceKind, kind: Kind, name: &str) -> Result<Self, DeviceError> {
        let (device, setup) = Device::wgpu_options()
            .device_kind(which)
            .init_with_setup()
            .map_err(|cause| DeviceError::Open { name: name.to_owned(), cause: cause.to_string() })?;
        let name = setup.adapter.get_info().name;
        Ok(Self { device, kind, name, wgpu: Some(setup) })
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
