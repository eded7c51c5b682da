//! The words of the made-up shop: places, names, plans, products. Data only.
//!
//! Nobody in here exists. E-mail domains end in `.example` (RFC 2606) and telephone numbers begin
//! with +999, a country code that is given to nobody.

/// A country: its code, its share of the customers, its language, its largest cities, its names.
pub(super) struct Country {
    pub(super) code: &'static str,
    pub(super) weight: f64,
    pub(super) language: &'static str,
    pub(super) names: usize,
    pub(super) cities: [&'static str; 5],
}

const fn land(
    code: &'static str,
    weight: f64,
    language: &'static str,
    names: usize,
    cities: [&'static str; 5],
) -> Country {
    Country { code, weight, language, names, cities }
}

/// Where customers live, most of them in few countries.
pub(super) const COUNTRIES: [Country; 40] = [
    land("DE", 19.0, "de", 1, ["Berlin", "Hamburg", "München", "Köln", "Leipzig"]),
    land("US", 14.0, "en", 0, ["New York", "Chicago", "Houston", "Seattle", "Denver"]),
    land("GB", 11.0, "en", 0, ["London", "Manchester", "Leeds", "Glasgow", "Bristol"]),
    land("FR", 9.0, "fr", 2, ["Paris", "Lyon", "Marseille", "Nantes", "Lille"]),
    land("NL", 6.0, "nl", 5, ["Amsterdam", "Rotterdam", "Utrecht", "Eindhoven", "Groningen"]),
    land("ES", 5.0, "es", 3, ["Madrid", "Barcelona", "Valencia", "Sevilla", "Bilbao"]),
    land("IT", 4.5, "it", 4, ["Roma", "Milano", "Torino", "Napoli", "Bologna"]),
    land("AT", 3.6, "de", 1, ["Wien", "Graz", "Linz", "Salzburg", "Innsbruck"]),
    land("CH", 3.2, "de", 1, ["Zürich", "Basel", "Bern", "Genève", "Lausanne"]),
    land("PL", 2.8, "pl", 7, ["Warszawa", "Kraków", "Gdańsk", "Wrocław", "Poznań"]),
    land("BE", 2.4, "nl", 5, ["Brussel", "Antwerpen", "Gent", "Liège", "Brugge"]),
    land("SE", 2.1, "sv", 6, ["Stockholm", "Göteborg", "Malmö", "Uppsala", "Lund"]),
    land("CA", 1.9, "en", 0, ["Toronto", "Montréal", "Vancouver", "Calgary", "Ottawa"]),
    land("DK", 1.7, "da", 6, ["København", "Aarhus", "Odense", "Aalborg", "Esbjerg"]),
    land("IE", 1.4, "en", 0, ["Dublin", "Cork", "Galway", "Limerick", "Waterford"]),
    land("PT", 1.2, "pt", 3, ["Lisboa", "Porto", "Braga", "Coimbra", "Faro"]),
    land("NO", 1.1, "no", 6, ["Oslo", "Bergen", "Trondheim", "Stavanger", "Tromsø"]),
    land("AU", 1.0, "en", 0, ["Sydney", "Melbourne", "Brisbane", "Perth", "Adelaide"]),
    land("FI", 0.9, "fi", 6, ["Helsinki", "Espoo", "Tampere", "Turku", "Oulu"]),
    land("CZ", 0.8, "cs", 7, ["Praha", "Brno", "Ostrava", "Plzeň", "Olomouc"]),
    land("BR", 0.7, "pt", 3, ["São Paulo", "Rio de Janeiro", "Salvador", "Curitiba", "Recife"]),
    land("TR", 0.6, "tr", 8, ["İstanbul", "Ankara", "İzmir", "Bursa", "Antalya"]),
    land("JP", 0.6, "ja", 9, ["Tokyo", "Osaka", "Nagoya", "Sapporo", "Fukuoka"]),
    land("MX", 0.5, "es", 3, ["Ciudad de México", "Guadalajara", "Monterrey", "Puebla", "Mérida"]),
    land("IN", 0.5, "en", 9, ["Mumbai", "Delhi", "Bengaluru", "Pune", "Chennai"]),
    land("LU", 0.4, "fr", 2, ["Luxembourg", "Esch", "Differdange", "Dudelange", "Ettelbruck"]),
    land("HU", 0.4, "hu", 7, ["Budapest", "Debrecen", "Szeged", "Pécs", "Győr"]),
    land("RO", 0.4, "ro", 4, ["București", "Cluj-Napoca", "Iași", "Timișoara", "Brașov"]),
    land("GR", 0.3, "el", 8, ["Athína", "Thessaloníki", "Pátra", "Irákleio", "Lárisa"]),
    land("SK", 0.3, "sk", 7, ["Bratislava", "Košice", "Prešov", "Žilina", "Nitra"]),
    land("NZ", 0.3, "en", 0, ["Auckland", "Wellington", "Christchurch", "Hamilton", "Dunedin"]),
    land("HR", 0.2, "hr", 7, ["Zagreb", "Split", "Rijeka", "Osijek", "Zadar"]),
    land("SI", 0.2, "sl", 7, ["Ljubljana", "Maribor", "Celje", "Kranj", "Koper"]),
    land("KR", 0.2, "ko", 9, ["Seoul", "Busan", "Incheon", "Daegu", "Daejeon"]),
    land("AR", 0.2, "es", 3, ["Buenos Aires", "Córdoba", "Rosario", "Mendoza", "La Plata"]),
    land("ZA", 0.2, "en", 0, ["Cape Town", "Johannesburg", "Durban", "Pretoria", "Gqeberha"]),
    land("EE", 0.15, "et", 6, ["Tallinn", "Tartu", "Narva", "Pärnu", "Viljandi"]),
    land("LT", 0.15, "lt", 7, ["Vilnius", "Kaunas", "Klaipėda", "Šiauliai", "Panevėžys"]),
    land("CL", 0.15, "es", 3, ["Santiago", "Valparaíso", "Concepción", "La Serena", "Temuco"]),
    land("SG", 0.15, "en", 9, ["Singapore", "Jurong", "Tampines", "Woodlands", "Bedok"]),
];

/// Given names that women and men bear, and family names, in one part of the world.
pub(super) struct Names {
    pub(super) women: [&'static str; 10],
    pub(super) men: [&'static str; 10],
    pub(super) families: [&'static str; 14],
}

/// Names by part of the world, in the order that [`Country::names`] counts.
#[rustfmt::skip]
pub(super) const NAMES: [Names; 10] = [
    Names {
        women: ["Olivia", "Emma", "Grace", "Ruby", "Sophie", "Hannah", "Chloe", "Megan", "Alice", "Zoe"],
        men: ["Oliver", "Jack", "Harry", "Noah", "James", "Ethan", "Daniel", "Ryan", "Luke", "Owen"],
        families: ["Smith", "Jones", "Taylor", "Brown", "Walker", "Wright", "Hughes", "Clarke", "O'Brien", "Murphy",
            "Cooper", "Ward", "Foster", "Reed"],
    },
    Names {
        women: ["Anna", "Lena", "Marie", "Jana", "Katrin", "Sabine", "Greta", "Heike", "Mia", "Ursula"],
        men: ["Jonas", "Lukas", "Felix", "Jürgen", "Stefan", "Uwe", "Moritz", "Paul", "Bernd", "Tim"],
        families: ["Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Wagner", "Becker", "Hoffmann", "Schäfer",
            "Koch", "Bauer", "Krüger", "Lang", "Vogel"],
    },
    Names {
        women: ["Camille", "Léa", "Manon", "Chloé", "Inès", "Julie", "Élodie", "Nathalie", "Louise", "Jeanne"],
        men: ["Louis", "Hugo", "Théo", "Antoine", "Pierre", "Nicolas", "Mathieu", "Jules", "Rémi", "Gabriel"],
        families: ["Martin", "Bernard", "Dubois", "Thomas", "Petit", "Durand", "Leroy", "Moreau", "Lefèvre", "Fournier",
            "Girard", "Mercier", "Dupont", "Lambert"],
    },
    Names {
        women: ["Lucía", "María", "Paula", "Carmen", "Sofia", "Elena", "Marta", "Inês", "Beatriz", "Rosa"],
        men: ["Hugo", "Pablo", "Diego", "Javier", "João", "Miguel", "Carlos", "Tiago", "Andrés", "Rafael"],
        families: ["García", "Fernández", "López", "Silva", "Santos", "Pérez", "Gómez", "Ferreira", "Ruiz", "Costa",
            "Moreno", "Almeida", "Torres", "Navarro"],
    },
    Names {
        women: ["Giulia", "Chiara", "Francesca", "Martina", "Elena", "Ioana", "Sara", "Paola", "Andreea", "Valeria"],
        men: ["Marco", "Luca", "Matteo", "Andrei", "Giovanni", "Davide", "Mihai", "Paolo", "Stefano", "Enzo"],
        families: ["Rossi", "Russo", "Ferrari", "Popescu", "Bianchi", "Romano", "Ionescu", "Ricci", "Marino", "Greco",
            "Conti", "Radu", "Gallo", "Moretti"],
    },
    Names {
        women: ["Emma", "Sanne", "Lotte", "Fleur", "Femke", "Anouk", "Ilse", "Marijke", "Noor", "Eva"],
        men: ["Daan", "Sem", "Bram", "Thijs", "Joris", "Wouter", "Sander", "Koen", "Pieter", "Ruben"],
        families: ["de Jong", "Jansen", "de Vries", "van den Berg", "Bakker", "Visser", "Smit", "Meijer", "Peeters",
            "Mulder", "Maes", "Bos", "Claes", "Vos"],
    },
    Names {
        women: ["Astrid", "Freja", "Ingrid", "Elsa", "Aino", "Sigrid", "Maja", "Linnéa", "Liis", "Karin"],
        men: ["Erik", "Lars", "Oskar", "Mikkel", "Elias", "Henrik", "Søren", "Nils", "Eero", "Jonas"],
        families: ["Andersson", "Johansson", "Hansen", "Nielsen", "Larsen", "Korhonen", "Virtanen", "Berg", "Lindqvist",
            "Olsen", "Tamm", "Dahl", "Holm", "Nyström"],
    },
    Names {
        women: ["Zofia", "Hanna", "Katarzyna", "Jana", "Eliška", "Petra", "Ivana", "Agnieszka", "Eszter", "Rasa"],
        men: ["Jakub", "Piotr", "Tomáš", "Marek", "Pavel", "Krzysztof", "Luka", "Ádám", "Jonas", "Filip"],
        families: ["Nowak", "Kowalski", "Novák", "Horvat", "Nagy", "Dvořák", "Zieliński", "Kováč", "Wójcik", "Svoboda",
            "Lewandowski", "Szabó", "Petrauskas", "Zupan"],
    },
    Names {
        women: ["Zeynep", "Elif", "Eleni", "Maria", "Ayşe", "Sofia", "Defne", "Katerina", "Merve", "Ioanna"],
        men: ["Yusuf", "Mehmet", "Giorgos", "Dimitris", "Emre", "Nikos", "Kerem", "Kostas", "Ali", "Yannis"],
        families: ["Yılmaz", "Kaya", "Papadopoulos", "Demir", "Şahin", "Georgiou", "Çelik", "Nikolaidis", "Arslan",
            "Doğan", "Vlachos", "Aydın", "Pappas", "Koç"],
    },
    Names {
        women: ["Yuki", "Priya", "Mei", "Aiko", "Ananya", "Seo-yeon", "Sakura", "Kavya", "Hui Min", "Ji-woo"],
        men: ["Haruto", "Arjun", "Wei", "Ren", "Rohan", "Min-jun", "Kenji", "Vikram", "Jun Jie", "Takumi"],
        families: ["Sato", "Sharma", "Tan", "Suzuki", "Patel", "Kim", "Tanaka", "Iyer", "Lim", "Lee", "Ito", "Reddy",
            "Park", "Ng"],
    },
];

/// Mail hosts that cannot exist.
pub(super) const MAIL_HOSTS: [&str; 6] = [
    "post.example",
    "inbox.example",
    "mail.example",
    "letters.example",
    "home.example",
    "office.example",
];
/// What a customer pays for.
pub(super) const PLANS: [&str; 4] = ["free", "basic", "plus", "premium"];
/// Where a customer looks from; see [`super::people::Device`] for the order.
pub(super) const DEVICES: [&str; 4] = ["android", "ios", "desktop", "tablet"];
/// What brought a customer in.
pub(super) const ACQUISITION: [&str; 8] = [
    "organic",
    "paid_search",
    "social",
    "newsletter",
    "referral",
    "affiliate",
    "marketplace",
    "store",
];
/// Their shares.
pub(super) const ACQUISITION_WEIGHTS: [f64; 8] = [30.0, 22.0, 17.0, 6.0, 9.0, 7.0, 4.0, 5.0];
/// Loyalty tiers, and the points at which each begins.
pub(super) const TIERS: [&str; 5] = ["none", "bronze", "silver", "gold", "platinum"];
/// See [`TIERS`].
pub(super) const TIER_POINTS: [i32; 5] = [0, 250, 1_000, 2_500, 6_000];
/// Genders.
pub(super) const GENDERS: [&str; 3] = ["female", "male", "other"];
/// What customers say they like.
pub(super) const INTERESTS: [&str; 24] = [
    "running",
    "cooking",
    "travel",
    "home",
    "fashion",
    "gardening",
    "camping",
    "cycling",
    "reading",
    "yoga",
    "football",
    "music",
    "gaming",
    "pets",
    "photography",
    "crafts",
    "skiing",
    "coffee",
    "wine",
    "parenting",
    "swimming",
    "art",
    "climbing",
    "sailing",
];
/// Departments of the shop, the busiest first.
pub(super) const CATEGORIES: [&str; 24] = [
    "shoes",
    "outdoor-jackets",
    "kitchen",
    "t-shirts",
    "running",
    "bedding",
    "backpacks",
    "coffee",
    "camping",
    "toys",
    "lighting",
    "garden",
    "cycling",
    "books",
    "skin-care",
    "dresses",
    "headphones",
    "pet-food",
    "furniture",
    "yoga",
    "board-games",
    "knitwear",
    "watches",
    "skiing",
];
/// The middle price in each department, in euros.
pub(super) const PRICES: [f64; 24] = [
    79.0, 129.0, 35.0, 22.0, 65.0, 55.0, 69.0, 14.0, 85.0, 24.0, 49.0, 28.0, 59.0, 15.0, 19.0,
    58.0, 89.0, 27.0, 240.0, 39.0, 29.0, 64.0, 160.0, 145.0,
];
/// Names of events; see [`super::sessions::Event`] for the order.
pub(super) const EVENTS: [&str; 11] = [
    "page_view",
    "product_view",
    "add_to_cart",
    "checkout",
    "purchase",
    "email_sent",
    "email_open",
    "email_click",
    "app_open",
    "support_ticket",
    "refund",
];
/// Names of channels; see [`super::sessions::Channel`] for the order.
pub(super) const CHANNELS: [&str; 7] =
    ["web", "mobile_web", "ios", "android", "email", "store", "call_center"];
/// Names of campaigns: the coupons and sales first, then what every week brings.
pub(super) const CAMPAIGNS: [&str; 12] = [
    "coupon_10",
    "coupon_20",
    "black_friday",
    "sale_winter",
    "sale_summer",
    "weekly_news",
    "new_arrivals",
    "points_reminder",
    "cart_reminder",
    "birthday_treat",
    "we_miss_you",
    "welcome",
];
/// Pages that are neither a department nor a product; the first ones are the busiest.
pub(super) const PAGES: [&str; 12] = [
    "/",
    "/search",
    "/sale",
    "/account",
    "/stores",
    "/wishlist",
    "/help",
    "/stories",
    "/returns",
    "/cart",
    "/checkout",
    "/checkout/thanks",
];
