//! The graphics cards of this machine: [`cards()`] lists and numbers them, [`Card::find`] finds the one that a
//! [`DeviceChoice`] names.
//!
//! Drivers list a card once per graphics API, and CubeCL opens the n-th card of a kind on one API. `cards_of` merges
//! these lists and remembers for each card how CubeCL addresses it.

use std::sync::OnceLock;

use burn::tensor::wgpu::{WgpuBackend, WgpuOptions};
use burn::tensor::{Device, DeviceKind};
use wgpu::{AdapterInfo, Backend, DeviceType};

use super::{DeviceChoice, DeviceError, Hardware};

/// The graphics APIs for computing, in the order in which CubeCL tries them. OpenGL can draw windows on old machines,
/// but lacks what training needs.
const APIS: [Backend; 3] = [Backend::Vulkan, Backend::Metal, Backend::Dx12];

/// A graphics adapter, as its driver describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Adapter {
    /// The value for `--device`, such as `gpu:0` for the first card. `None` for software adapters.
    pub id: Option<String>,
    /// The name of the adapter.
    pub name: String,
    /// The graphics API: Vulkan, Metal, Dx12 or Gl.
    pub backend: String,
    /// Discrete, integrated, virtual, or software, in words.
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it is hardware rather than a software driver.
    pub hardware: bool,
}

impl Adapter {
    fn new(info: &AdapterInfo, number: Option<usize>) -> Self {
        Self {
            id: number.map(|number| DeviceChoice::Card(number).to_string()),
            name: info.name.clone(),
            backend: info.backend.to_string(),
            kind: describe_type(info.device_type).to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            hardware: is_hardware(info.device_type),
        }
    }
}

/// A graphics card that can compute, or a software adapter.
#[derive(Debug, Clone)]
pub struct Card {
    info: AdapterInfo,
    /// How CubeCL addresses it: the n-th card of its type.
    cubecl_kind: DeviceKind,
    /// The API to open it with. `Auto` is the one that CubeCL tries first.
    api: WgpuBackend,
    number: Option<usize>,
}

impl Card {
    /// The name that the driver reports.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// The PCI address, such as `0000:01:00.0`. Empty if the driver does not report it.
    pub(super) fn pci_address(&self) -> &str {
        &self.info.device_pci_bus_id
    }

    /// The number in `gpu:N`. `None` for software adapters.
    pub fn number(&self) -> Option<usize> {
        self.number
    }

    /// The kind of hardware.
    pub fn kind(&self) -> Hardware {
        if is_hardware(self.info.device_type) { Hardware::Gpu } else { Hardware::Software }
    }

    /// Discrete, integrated, virtual, or software, in words.
    pub fn description(&self) -> &'static str {
        describe_type(self.info.device_type)
    }

    /// The choice that names this card among `all`: its name, or its number if others have the same name. Names are
    /// preferred because they stay valid when cards are added.
    pub fn choice(&self, all: &[Self]) -> DeviceChoice {
        let namesakes = all.iter().filter(|card| card.info.name.eq_ignore_ascii_case(&self.info.name)).count();
        match (namesakes, self.number) {
            (2.., Some(number)) => DeviceChoice::Card(number),
            _ => DeviceChoice::Named(self.info.name.clone()),
        }
    }

    /// Finds the card of this machine that `choice` names. `None` stands for the CPU.
    ///
    /// # Errors
    /// [`DeviceError`] if no card or several cards match.
    pub fn find(choice: &DeviceChoice) -> Result<Option<&'static Self>, DeviceError> {
        select(choice, cards())
    }

    /// The options to open it with.
    pub(super) fn options(&self) -> WgpuOptions {
        Device::wgpu_options().device_kind(self.cubecl_kind.clone()).graphics_api(self.api)
    }

    /// Whether an opened adapter is this card.
    pub(super) fn matches(&self, opened: &AdapterInfo) -> bool {
        same_model(&self.info, opened)
            && self.info.name == opened.name
            && self.info.backend == opened.backend
            && self.info.device_pci_bus_id == opened.device_pci_bus_id
    }

    fn label(&self) -> String {
        match self.number {
            Some(number) => format!("gpu:{number} {} ({})", self.info.name, self.description()),
            None => format!("{} ({})", self.info.name, self.description()),
        }
    }
}

fn describe_type(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete graphics card",
        DeviceType::IntegratedGpu => "integrated graphics",
        DeviceType::VirtualGpu => "virtual graphics card",
        DeviceType::Cpu => "software on the CPU",
        DeviceType::Other => "unknown kind",
    }
}

fn is_hardware(device_type: DeviceType) -> bool {
    matches!(device_type, DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu)
}

fn same_model(a: &AdapterInfo, b: &AdapterInfo) -> bool {
    (a.vendor, a.device) == (b.vendor, b.device)
}

/// The graphics cards that can compute, best first, followed by software adapters. They are enumerated once per
/// process, because drivers do not allow several threads to enumerate at once.
pub fn cards() -> &'static [Card] {
    static CARDS: OnceLock<Vec<Card>> = OnceLock::new();
    CARDS.get_or_init(|| cards_of(&enumerate(wgpu::Backends::PRIMARY)))
}

/// Every graphics adapter of this machine, each once: the cards, and adapters that can only draw.
pub fn adapters() -> Vec<Adapter> {
    let mut adapters: Vec<Adapter> = cards().iter().map(|card| Adapter::new(&card.info, card.number)).collect();
    for info in enumerate(wgpu::Backends::GL) {
        // OpenGL reports neither models nor PCI addresses, and longer names.
        let known = |adapter: &Adapter| info.name.contains(&adapter.name) || adapter.name.contains(&info.name);
        if !adapters.iter().any(known) {
            adapters.push(Adapter::new(&info, None));
        }
    }
    adapters
}

fn enumerate(backends: wgpu::Backends) -> Vec<AdapterInfo> {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let list = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    list.iter().map(wgpu::Adapter::get_info).collect()
}

/// Merges the adapters that the drivers list into cards, sorted and numbered.
fn cards_of(listed: &[AdapterInfo]) -> Vec<Card> {
    let of_api = |api: Backend| listed.iter().filter(move |info| info.backend == api);
    let usable = |api: &Backend| of_api(*api).any(|info| info.device_type != DeviceType::Cpu);
    let first = APIS.into_iter().find(usable).or_else(|| APIS.into_iter().find(|api| of_api(*api).next().is_some()));
    let mut cards: Vec<Card> = Vec::new();
    for api in APIS {
        let before = cards.len();
        let mut counts = [0; 4];
        for (index, info) in of_api(api).enumerate() {
            // CubeCL counts the adapters of each type, including those that are listed twice.
            let mut next = |device_type: usize| {
                counts[device_type] += 1;
                counts[device_type] - 1
            };
            let cubecl_kind = match info.device_type {
                DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(next(0)),
                DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(next(1)),
                DeviceType::VirtualGpu => DeviceKind::VirtualGpu(next(2)),
                // CubeCL addresses only the first software adapter, and none of unknown type.
                DeviceType::Cpu if next(3) == 0 => DeviceKind::Cpu,
                DeviceType::Cpu | DeviceType::Other => continue,
            };
            // Two drivers of the same API list a card twice, with the same PCI address.
            let bus = &info.device_pci_bus_id;
            let by_another_driver =
                |card: &Card| !bus.is_empty() && same_model(&card.info, info) && card.info.device_pci_bus_id == *bus;
            // Another API lists the same cards, not always with PCI addresses: the n-th card of a model here is the
            // n-th there.
            let earlier = cards[..before].iter().filter(|card| same_model(&card.info, info)).count();
            let here = of_api(api).take(index).filter(|other| same_model(other, info)).count();
            if cards[before..].iter().any(by_another_driver) || here < earlier {
                continue;
            }
            let api = match (Some(api) == first, api) {
                (false, Backend::Dx12) => WgpuBackend::Dx12,
                (false, Backend::Vulkan) => WgpuBackend::Vulkan,
                (false, Backend::Metal) => WgpuBackend::Metal,
                _ => WgpuBackend::Auto,
            };
            cards.push(Card { info: info.clone(), cubecl_kind, api, number: None });
        }
    }
    cards.sort_by_key(|card| match card.info.device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Cpu | DeviceType::Other => 3,
    });
    for (number, card) in cards.iter_mut().filter(|card| is_hardware(card.info.device_type)).enumerate() {
        card.number = Some(number);
    }
    cards
}

/// Selects the card that `choice` names. `None` stands for the CPU.
fn select<'a>(choice: &DeviceChoice, cards: &'a [Card]) -> Result<Option<&'a Card>, DeviceError> {
    let hardware = || cards.iter().filter(|card| card.number.is_some());
    let list = |cards: &[&Card]| cards.iter().map(|card| card.label()).collect::<Vec<_>>().join(", ");
    let missing = |requested: &str| {
        let all: Vec<&Card> = cards.iter().collect();
        let list = if all.is_empty() { "none".to_owned() } else { list(&all) };
        DeviceError::NoSuchCard { requested: requested.to_owned(), list }
    };
    match choice {
        DeviceChoice::Cpu => Ok(None),
        DeviceChoice::Auto => Ok(hardware().next()),
        DeviceChoice::Gpu => match hardware().next() {
            Some(card) => Ok(Some(card)),
            None => Err(DeviceError::NoGpu {
                found: match cards.first() {
                    Some(card) => format!("only {}, {}", card.name(), card.description()),
                    None => "no graphics driver at all".to_owned(),
                },
            }),
        },
        DeviceChoice::Card(number) => match hardware().find(|card| card.number == Some(*number)) {
            Some(card) => Ok(Some(card)),
            None => Err(missing(&choice.to_string())),
        },
        DeviceChoice::Named(text) => {
            let lower = text.to_lowercase();
            let named = |whole: bool, hardware: bool| {
                let fits = |card: &&Card| {
                    let name = card.info.name.to_lowercase();
                    card.number.is_some() == hardware && if whole { name == lower } else { name.contains(&lower) }
                };
                cards.iter().filter(fits).collect::<Vec<_>>()
            };
            // A full name takes precedence over part of a name, then a card over a software adapter.
            let found =
                [(true, true), (false, true), (true, false), (false, false)].map(|(whole, hard)| named(whole, hard));
            match found.iter().find(|found| !found.is_empty()).map(Vec::as_slice) {
                None | Some([]) => Err(missing(&format!("{text:?}"))),
                Some([card]) => Ok(Some(*card)),
                Some(several) => Err(DeviceError::Ambiguous { requested: format!("{text:?}"), list: list(several) }),
            }
        }
    }
}

/// Two cards that differ only in their PCI addresses.
#[cfg(test)]
pub(crate) fn two_equal_cards() -> Vec<Card> {
    let card = |bus: &str| {
        let mut info = AdapterInfo::new(DeviceType::DiscreteGpu, Backend::Vulkan);
        (info.name, info.device_pci_bus_id) = ("RTX 4090".to_owned(), bus.to_owned());
        (info.vendor, info.device) = (0x10de, 7);
        info
    };
    cards_of(&[card("0000:01:00.0"), card("0000:02:00.0")])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NVIDIA: u32 = 0x10de;
    const INTEL: u32 = 0x8086;

    fn info(api: Backend, kind: DeviceType, name: &str, model: (u32, u32), bus: &str) -> AdapterInfo {
        let mut info = AdapterInfo::new(kind, api);
        (info.name, info.device_pci_bus_id) = (name.to_owned(), bus.to_owned());
        (info.vendor, info.device) = model;
        info
    }

    fn lavapipe() -> AdapterInfo {
        info(Backend::Vulkan, DeviceType::Cpu, "llvmpipe (LLVM 19)", (0x10005, 0), "")
    }

    fn card(api: Backend, name: &str, model: u32, bus: &str) -> AdapterInfo {
        info(api, DeviceType::DiscreteGpu, name, (NVIDIA, model), bus)
    }

    fn labels(cards: &[Card]) -> Vec<String> {
        cards.iter().map(Card::label).collect()
    }

    fn name(choice: &str, cards: &[Card]) -> String {
        match select(&choice.parse().unwrap(), cards) {
            Ok(Some(card)) => card.name().to_owned(),
            Ok(None) => "CPU".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn equal_cards_are_told_apart_by_number() {
        let cards = cards_of(&[
            lavapipe(),
            card(Backend::Vulkan, "RTX 4090", 7, "0000:01:00.0"),
            card(Backend::Vulkan, "RTX 4090", 7, "0000:02:00.0"),
        ]);
        assert_eq!(
            labels(&cards),
            [
                "gpu:0 RTX 4090 (discrete graphics card)",
                "gpu:1 RTX 4090 (discrete graphics card)",
                "llvmpipe (LLVM 19) (software on the CPU)"
            ]
        );
        assert_eq!(select(&DeviceChoice::Card(1), &cards).unwrap().unwrap().cubecl_kind, DeviceKind::DiscreteGpu(1));
        assert_eq!(select(&DeviceChoice::Card(1), &cards).unwrap().unwrap().pci_address(), "0000:02:00.0");
        let error = name("4090", &cards);
        assert!(error.contains("several") && error.contains("gpu:0 RTX 4090") && error.contains("gpu:1"), "{error}");
        assert_eq!(cards[1].choice(&cards), DeviceChoice::Card(1), "cards of the same name need numbers");
        assert_eq!(cards[2].choice(&cards), DeviceChoice::Named("llvmpipe (LLVM 19)".to_owned()));
        // An opened card is recognized by its PCI address.
        assert!(cards[0].matches(&card(Backend::Vulkan, "RTX 4090", 7, "0000:01:00.0")));
        assert!(!cards[0].matches(&card(Backend::Vulkan, "RTX 4090", 7, "0000:02:00.0")));
    }

    #[test]
    fn discrete_cards_precede_integrated_ones() {
        let cards = cards_of(&[
            info(Backend::Vulkan, DeviceType::VirtualGpu, "Virtio", (0x1af4, 1), ""),
            info(Backend::Vulkan, DeviceType::IntegratedGpu, "Intel UHD", (INTEL, 1), "0000:00:02.0"),
            card(Backend::Vulkan, "RTX 3050 Laptop", 3, "0000:01:00.0"),
        ]);
        assert_eq!(["auto", "gpu", "gpu:0"].map(|choice| name(choice, &cards)), ["RTX 3050 Laptop"; 3]);
        assert_eq!(["gpu:1", "uhd", "gpu:2"].map(|choice| name(choice, &cards)), ["Intel UHD", "Intel UHD", "Virtio"]);
        assert_eq!(
            cards.iter().map(|card| card.cubecl_kind.clone()).collect::<Vec<_>>(),
            [DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0)]
        );
        assert_eq!(name("cpu", &cards), "CPU");
    }

    #[test]
    fn a_card_on_two_apis_is_listed_once() {
        let cards = cards_of(&[
            card(Backend::Vulkan, "RTX 3080", 5, "0000:01:00.0"),
            card(Backend::Vulkan, "RTX 3080", 5, "0000:02:00.0"),
            // DirectX reports the address of the first card for both.
            card(Backend::Dx12, "NVIDIA RTX 3080", 5, "0000:01:00.0"),
            card(Backend::Dx12, "NVIDIA RTX 3080", 5, "0000:01:00.0"),
            info(Backend::Dx12, DeviceType::IntegratedGpu, "Intel UHD", (INTEL, 1), ""),
            info(Backend::Dx12, DeviceType::Cpu, "Microsoft Basic Render Driver", (0x1414, 0x8c), ""),
        ]);
        assert_eq!(
            labels(&cards),
            [
                "gpu:0 RTX 3080 (discrete graphics card)",
                "gpu:1 RTX 3080 (discrete graphics card)",
                "gpu:2 Intel UHD (integrated graphics)",
                "Microsoft Basic Render Driver (software on the CPU)"
            ]
        );
        let apis: Vec<_> = cards.iter().map(|card| card.api).collect();
        assert_eq!(apis, [WgpuBackend::Auto, WgpuBackend::Auto, WgpuBackend::Dx12, WgpuBackend::Dx12]);
    }

    #[test]
    fn a_card_with_two_drivers_is_listed_once() {
        let amd = |name, model, bus| info(Backend::Vulkan, DeviceType::DiscreteGpu, name, (0x1002, model), bus);
        let cards = cards_of(&[
            amd("RX 7900 (RADV)", 1, "0000:03:00.0"),
            amd("RX 7900", 1, "0000:03:00.0"),
            amd("RX 6600 (RADV)", 2, "0000:04:00.0"),
        ]);
        let which: Vec<_> = cards.iter().map(|card| (card.name(), card.cubecl_kind.clone())).collect();
        let second = ("RX 6600 (RADV)", DeviceKind::DiscreteGpu(2));
        assert_eq!(which, [("RX 7900 (RADV)", DeviceKind::DiscreteGpu(0)), second]);
    }

    #[test]
    fn software_adapters_are_used_only_by_name() {
        let cards = cards_of(&[lavapipe()]);
        assert_eq!(name("auto", &cards), "CPU");
        let error = name("gpu", &cards);
        assert!(error.contains("no graphics card was found (only llvmpipe"), "{error}");
        assert_eq!(name("llvmpipe", &cards), "llvmpipe (LLVM 19)");
        assert_eq!(cards[0].kind(), Hardware::Software);
        let both = cards_of(&[lavapipe(), card(Backend::Vulkan, "llvm card", 1, "")]);
        assert_eq!(name("llvm", &both), "llvm card", "cards take precedence");
    }

    #[test]
    fn missing_cards_are_refused_with_a_list_of_the_existing_ones() {
        let cards = cards_of(&[card(Backend::Vulkan, "RTX 3080", 5, "")]);
        for requested in ["gpu:1", "Radeon"] {
            let error = name(requested, &cards);
            assert!(error.contains(requested) && error.contains("gpu:0 RTX 3080"), "{error}");
        }
        assert!(name("gpu:0", &[]).contains("none"));
        assert!(name("gpu", &[]).contains("no graphics driver at all"));
        // Full names take precedence over parts of names.
        let cards = cards_of(&[card(Backend::Vulkan, "RTX 3080 Ti", 6, ""), card(Backend::Vulkan, "RTX 3080", 5, "")]);
        assert_eq!(name("rtx 3080", &cards), "RTX 3080");
    }
}
