//! The graphics cards of this machine, numbered, each once. A card is opened by what CubeCL calls it: its place among the cards of its
//! kind in the list of one graphics API.

use std::sync::OnceLock;

use burn::tensor::wgpu::{WgpuBackend, WgpuOptions};
use burn::tensor::{Device, DeviceKind};
use wgpu::{AdapterInfo, Backend, DeviceType};

use super::{Choice, DeviceError, Kind};

/// The graphics APIs that compute, in the order in which CubeCL tries them. OpenGL draws windows on old machines, but does not
/// compute well enough to train.
const APIS: [Backend; 3] = [Backend::Vulkan, Backend::Metal, Backend::Dx12];

/// A graphics adapter as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Adapter {
    /// What `--device` takes: `gpu:0` for the first card. Software adapters have no number.
    pub id: Option<String>,
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

impl Adapter {
    fn new(info: &AdapterInfo, number: Option<usize>) -> Self {
        Self {
            id: number.map(|number| Choice::Card(number).to_string()),
            name: info.name.clone(),
            backend: info.backend.to_string(),
            kind: kind(info.device_type).to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            hardware: is_hardware(info.device_type),
        }
    }
}

/// A graphics card that can compute, or a software adapter.
#[derive(Debug, Clone)]
pub struct Card {
    info: AdapterInfo,
    /// What CubeCL calls it.
    which: DeviceKind,
    /// The API to open it with, where that is not the one that CubeCL tries first.
    api: WgpuBackend,
    number: Option<usize>,
}

impl Card {
    /// The driver's name for it.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Its place in the machine, such as `0000:01:00.0`; empty where the driver does not report it.
    pub(super) fn bus(&self) -> &str {
        &self.info.device_pci_bus_id
    }

    /// Its number, where it is hardware.
    pub fn number(&self) -> Option<usize> {
        self.number
    }

    /// How it differs from a CPU.
    pub fn kind(&self) -> Kind {
        if is_hardware(self.info.device_type) { Kind::Gpu } else { Kind::Software }
    }

    /// Discrete, integrated, virtual, or software.
    pub fn described(&self) -> &'static str {
        kind(self.info.device_type)
    }

    /// What asks for this card and no other one among `all`: its name, or its number where others have the same name. A name stays
    /// true when cards are added.
    pub fn choice(&self, all: &[Self]) -> Choice {
        let namesakes = all.iter().filter(|card| card.info.name.eq_ignore_ascii_case(&self.info.name)).count();
        match (namesakes, self.number) {
            (2.., Some(number)) => Choice::Card(number),
            _ => Choice::Named(self.info.name.clone()),
        }
    }

    /// The card of this machine that `choice` asks for; none for the CPU.
    ///
    /// # Errors
    /// [`DeviceError`] where there is no such card, or several.
    pub fn find(choice: &Choice) -> Result<Option<&'static Self>, DeviceError> {
        pick(choice, cards())
    }

    /// How it is opened.
    pub(super) fn options(&self) -> WgpuOptions {
        Device::wgpu_options().device_kind(self.which.clone()).graphics_api(self.api)
    }

    /// Whether an opened adapter is this card.
    pub(super) fn is(&self, opened: &AdapterInfo) -> bool {
        same_model(&self.info, opened)
            && self.info.name == opened.name
            && self.info.backend == opened.backend
            && self.info.device_pci_bus_id == opened.device_pci_bus_id
    }

    fn line(&self) -> String {
        match self.number {
            Some(number) => format!("gpu:{number} {} ({})", self.info.name, self.described()),
            None => format!("{} ({})", self.info.name, self.described()),
        }
    }
}

fn kind(kind: DeviceType) -> &'static str {
    match kind {
        DeviceType::DiscreteGpu => "discrete graphics card",
        DeviceType::IntegratedGpu => "integrated graphics",
        DeviceType::VirtualGpu => "virtual graphics card",
        DeviceType::Cpu => "software on the CPU",
        DeviceType::Other => "unknown kind",
    }
}

fn is_hardware(kind: DeviceType) -> bool {
    matches!(kind, DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu)
}

fn same_model(a: &AdapterInfo, b: &AdapterInfo) -> bool {
    (a.vendor, a.device) == (b.vendor, b.device)
}

/// The graphics cards that can compute, the best first, and the software adapters after them. They are listed once, since a driver's
/// list may not be asked for by several threads at once.
pub fn cards() -> &'static [Card] {
    static CARDS: OnceLock<Vec<Card>> = OnceLock::new();
    CARDS.get_or_init(|| sorted(&listed(wgpu::Backends::PRIMARY)))
}

/// Every graphics adapter of this machine, each once: the cards, and what only draws.
pub fn adapters() -> Vec<Adapter> {
    let mut adapters: Vec<Adapter> = cards().iter().map(|card| Adapter::new(&card.info, card.number)).collect();
    for info in listed(wgpu::Backends::GL) {
        // OpenGL has neither models nor places of cards, and writes more into the name.
        let known = |adapter: &Adapter| info.name.contains(&adapter.name) || adapter.name.contains(&info.name);
        if !adapters.iter().any(known) {
            adapters.push(Adapter::new(&info, None));
        }
    }
    adapters
}

fn listed(backends: wgpu::Backends) -> Vec<AdapterInfo> {
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let list = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    list.iter().map(wgpu::Adapter::get_info).collect()
}

/// Sorts what the drivers list into cards.
fn sorted(listed: &[AdapterInfo]) -> Vec<Card> {
    let of_api = |api: Backend| listed.iter().filter(move |info| info.backend == api);
    let usable = |api: &Backend| of_api(*api).any(|info| info.device_type != DeviceType::Cpu);
    let first = APIS.into_iter().find(usable).or_else(|| APIS.into_iter().find(|api| of_api(*api).next().is_some()));
    let mut cards: Vec<Card> = Vec::new();
    for api in APIS {
        let before = cards.len();
        let mut counted = [0; 4];
        for (place, info) in of_api(api).enumerate() {
            // CubeCL counts the adapters of each kind, those that are listed twice too.
            let mut count = |kind: usize| {
                counted[kind] += 1;
                counted[kind] - 1
            };
            let which = match info.device_type {
                DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(count(0)),
                DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(count(1)),
                DeviceType::VirtualGpu => DeviceKind::VirtualGpu(count(2)),
                // CubeCL knows one of these, and none of which it does not know what they are.
                DeviceType::Cpu if count(3) == 0 => DeviceKind::Cpu,
                DeviceType::Cpu | DeviceType::Other => continue,
            };
            // Two drivers of one API list a card twice, with the same address.
            let bus = &info.device_pci_bus_id;
            let by_another_driver =
                |card: &Card| !bus.is_empty() && same_model(&card.info, info) && card.info.device_pci_bus_id == *bus;
            // Another API lists the same cards. It does not always report their addresses, so the second of a model here is the second there.
            let earlier = cards[..before].iter().filter(|card| same_model(&card.info, info)).count();
            let here = of_api(api).take(place).filter(|other| same_model(other, info)).count();
            if cards[before..].iter().any(by_another_driver) || here < earlier {
                continue;
            }
            let api = match (Some(api) == first, api) {
                (false, Backend::Dx12) => WgpuBackend::Dx12,
                (false, Backend::Vulkan) => WgpuBackend::Vulkan,
                (false, Backend::Metal) => WgpuBackend::Metal,
                _ => WgpuBackend::Auto,
            };
            cards.push(Card { info: info.clone(), which, api, number: None });
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

/// The card that `choice` asks for; none for the CPU.
fn pick<'a>(choice: &Choice, cards: &'a [Card]) -> Result<Option<&'a Card>, DeviceError> {
    let hardware = || cards.iter().filter(|card| card.number.is_some());
    let list = |cards: &[&Card]| cards.iter().map(|card| card.line()).collect::<Vec<_>>().join(", ");
    let missing = |asked: &str| {
        let all: Vec<&Card> = cards.iter().collect();
        let list = if all.is_empty() { "none".to_owned() } else { list(&all) };
        DeviceError::NoSuchCard { asked: asked.to_owned(), list }
    };
    match choice {
        Choice::Cpu => Ok(None),
        Choice::Auto => Ok(hardware().next()),
        Choice::Gpu => match hardware().next() {
            Some(card) => Ok(Some(card)),
            None => Err(DeviceError::NoGpu {
                found: match cards.first() {
                    Some(card) => format!("only {}, {}", card.name(), card.described()),
                    None => "no graphics driver at all".to_owned(),
                },
            }),
        },
        Choice::Card(number) => match hardware().find(|card| card.number == Some(*number)) {
            Some(card) => Ok(Some(card)),
            None => Err(missing(&choice.to_string())),
        },
        Choice::Named(text) => {
            let lower = text.to_lowercase();
            let named = |whole: bool, hardware: bool| {
                let fits = |card: &&Card| {
                    let name = card.info.name.to_lowercase();
                    card.number.is_some() == hardware && if whole { name == lower } else { name.contains(&lower) }
                };
                cards.iter().filter(fits).collect::<Vec<_>>()
            };
            // A whole name comes before a part of one, and a card before software.
            let found =
                [(true, true), (false, true), (true, false), (false, false)].map(|(whole, hard)| named(whole, hard));
            match found.iter().find(|found| !found.is_empty()).map(Vec::as_slice) {
                None | Some([]) => Err(missing(&format!("{text:?}"))),
                Some([card]) => Ok(Some(*card)),
                Some(several) => Err(DeviceError::Ambiguous { asked: format!("{text:?}"), list: list(several) }),
            }
        }
    }
}

/// Two cards that differ by their places alone.
#[cfg(test)]
pub(crate) fn two_equal_cards() -> Vec<Card> {
    let card = |bus: &str| {
        let mut info = AdapterInfo::new(DeviceType::DiscreteGpu, Backend::Vulkan);
        (info.name, info.device_pci_bus_id) = ("RTX 4090".to_owned(), bus.to_owned());
        (info.vendor, info.device) = (0x10de, 7);
        info
    };
    sorted(&[card("0000:01:00.0"), card("0000:02:00.0")])
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

    fn lines(cards: &[Card]) -> Vec<String> {
        cards.iter().map(Card::line).collect()
    }

    fn name(choice: &str, cards: &[Card]) -> String {
        match pick(&choice.parse().unwrap(), cards) {
            Ok(Some(card)) => card.name().to_owned(),
            Ok(None) => "CPU".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn two_equal_cards_are_two_and_need_their_numbers() {
        let cards = sorted(&[
            lavapipe(),
            card(Backend::Vulkan, "RTX 4090", 7, "0000:01:00.0"),
            card(Backend::Vulkan, "RTX 4090", 7, "0000:02:00.0"),
        ]);
        assert_eq!(
            lines(&cards),
            [
                "gpu:0 RTX 4090 (discrete graphics card)",
                "gpu:1 RTX 4090 (discrete graphics card)",
                "llvmpipe (LLVM 19) (software on the CPU)"
            ]
        );
        assert_eq!(pick(&Choice::Card(1), &cards).unwrap().unwrap().which, DeviceKind::DiscreteGpu(1));
        assert_eq!(pick(&Choice::Card(1), &cards).unwrap().unwrap().bus(), "0000:02:00.0");
        let error = name("4090", &cards);
        assert!(error.contains("several") && error.contains("gpu:0 RTX 4090") && error.contains("gpu:1"), "{error}");
        assert_eq!(cards[1].choice(&cards), Choice::Card(1), "the window keeps a number for one of two");
        assert_eq!(cards[2].choice(&cards), Choice::Named("llvmpipe (LLVM 19)".to_owned()));
        // Each differs from the other in its address after it was opened.
        assert!(cards[0].is(&card(Backend::Vulkan, "RTX 4090", 7, "0000:01:00.0")));
        assert!(!cards[0].is(&card(Backend::Vulkan, "RTX 4090", 7, "0000:02:00.0")));
    }

    #[test]
    fn a_discrete_card_comes_before_an_integrated_one_wherever_it_is_listed() {
        let cards = sorted(&[
            info(Backend::Vulkan, DeviceType::VirtualGpu, "Virtio", (0x1af4, 1), ""),
            info(Backend::Vulkan, DeviceType::IntegratedGpu, "Intel UHD", (INTEL, 1), "0000:00:02.0"),
            card(Backend::Vulkan, "RTX 3050 Laptop", 3, "0000:01:00.0"),
        ]);
        assert_eq!(["auto", "gpu", "gpu:0"].map(|choice| name(choice, &cards)), ["RTX 3050 Laptop"; 3]);
        assert_eq!(["gpu:1", "uhd", "gpu:2"].map(|choice| name(choice, &cards)), ["Intel UHD", "Intel UHD", "Virtio"]);
        assert_eq!(
            cards.iter().map(|card| card.which.clone()).collect::<Vec<_>>(),
            [DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0)]
        );
        assert_eq!(name("cpu", &cards), "CPU");
    }

    #[test]
    fn a_card_of_two_apis_is_listed_once() {
        let cards = sorted(&[
            card(Backend::Vulkan, "RTX 3080", 5, "0000:01:00.0"),
            card(Backend::Vulkan, "RTX 3080", 5, "0000:02:00.0"),
            // DirectX has the address of the first one for both.
            card(Backend::Dx12, "NVIDIA RTX 3080", 5, "0000:01:00.0"),
            card(Backend::Dx12, "NVIDIA RTX 3080", 5, "0000:01:00.0"),
            info(Backend::Dx12, DeviceType::IntegratedGpu, "Intel UHD", (INTEL, 1), ""),
            info(Backend::Dx12, DeviceType::Cpu, "Microsoft Basic Render Driver", (0x1414, 0x8c), ""),
        ]);
        assert_eq!(
            lines(&cards),
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
    fn a_card_of_two_drivers_is_listed_once_and_the_next_keeps_its_place() {
        let amd = |name, model, bus| info(Backend::Vulkan, DeviceType::DiscreteGpu, name, (0x1002, model), bus);
        let cards = sorted(&[
            amd("RX 7900 (RADV)", 1, "0000:03:00.0"),
            amd("RX 7900", 1, "0000:03:00.0"),
            amd("RX 6600 (RADV)", 2, "0000:04:00.0"),
        ]);
        let which: Vec<_> = cards.iter().map(|card| (card.name(), card.which.clone())).collect();
        let second = ("RX 6600 (RADV)", DeviceKind::DiscreteGpu(2));
        assert_eq!(which, [("RX 7900 (RADV)", DeviceKind::DiscreteGpu(0)), second]);
    }

    #[test]
    fn software_is_used_where_it_is_named_and_nowhere_else() {
        let cards = sorted(&[lavapipe()]);
        assert_eq!(name("auto", &cards), "CPU");
        let error = name("gpu", &cards);
        assert!(error.contains("no graphics card was found (only llvmpipe"), "{error}");
        assert_eq!(name("llvmpipe", &cards), "llvmpipe (LLVM 19)");
        assert_eq!(cards[0].kind(), Kind::Software);
        let both = sorted(&[lavapipe(), card(Backend::Vulkan, "llvm card", 1, "")]);
        assert_eq!(name("llvm", &both), "llvm card", "a card comes first");
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let cards = sorted(&[card(Backend::Vulkan, "RTX 3080", 5, "")]);
        for asked in ["gpu:1", "Radeon"] {
            let error = name(asked, &cards);
            assert!(error.contains(asked) && error.contains("gpu:0 RTX 3080"), "{error}");
        }
        assert!(name("gpu:0", &[]).contains("none"));
        assert!(name("gpu", &[]).contains("no graphics driver at all"));
        // Full names come before parts of names.
        let cards = sorted(&[card(Backend::Vulkan, "RTX 3080 Ti", 6, ""), card(Backend::Vulkan, "RTX 3080", 5, "")]);
        assert_eq!(name("rtx 3080", &cards), "RTX 3080");
    }
}
