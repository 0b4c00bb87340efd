"""The words by which the router tells what a prompt is about, by intent, in lower case: data, no decisions.

One that ends in `*` stands for all (Cyrillic) words beginning so.
"""

from activities.contracts.policy import Intent

NOUNS: dict[Intent, str] = {
    Intent.QUESTION: """
        difference meaning definition etymology synonym capital distance height weight temperature
        population convert boiling melting point formula abbreviation acronym pronounce spell wondered
        wonder wondering curious rule unterschied bedeutung hauptstadt différence signification
        diferencia significado differenza significato diferença разница значение
    """,
    Intent.ANALYSIS: """
        pros cons trade-off tradeoff tradeoffs strengths weaknesses bug bugs flaw fallacies tone
        sentiment vor- nachteile vorteile avantages inconvénients ventajas desventajas преимуществ*
        недостатк* stronger better traceback stacktrace opinas argument stack wrong slow fails root
        mistake mistakes error errors problem weakness strength critique evaluation comparison versus vs
        diff feedback opinion verdict plausible convincing fair valid biased bias sense interpretation
        cause causes anomaly outlier correlation significance significant p-value claim logic reasoning
        argumentative symptoms leak leaks bottleneck regression latency p99 crash crashes offers option
        options choose strict aggressive trop agressif rude sound unterschiede fehler ursache besser
        einschätzung bewertung erreur erreurs défaut meilleur mieux avis errores mejor fallo causa
        opinión errore migliore difetto giudizio erros melhor ошибка ошибк* лучше мнение fout beter błąd
        lepiej hata fel
    """,
    Intent.CREATION: """
        poem poems haiku limerick sonnet story stories tale novel song lyrics joke jokes slogan tagline
        riddle fable dialogue screenplay rap ballad toast anagram nickname names pun character fairy
        bedtime gedicht geschichte märchen witz lied poème histoire conte chanson blague poema cuento
        historia canción chiste favola poesia racconto storia barzelletta canzone conto стих* сказк*
        рассказ* песн* wiersz bajka verhaal gedichtje name namen şiir horoscope monologue vow vows verse
        verses stanza prose fiction plot villain hero dragon princess wizard myth legend saga parody
        satire skit comic opera musical melody tune chorus metaphor motto tongue-twister worldbuilding
        civilisation backstory lore fanfic fan-fiction crossover mascot invention riddles quote quotes
        eulogy ode elegy ballade nursery rhyme rhymes parodie lustiges rätsel reim spruch monolog
        trinkspruch figur rime énigme personnage pièce rima leyenda personaje adivinanza brindis
        filastrocca leggenda personaggio piada lenda personagem versinho загадк* тост анекдот роман*
        легенд* verhaaltje mop raadsel żart piosenka opowiadanie şarkı hikaye fıkra dikt låt
    """,
    Intent.DOCUMENT: """
        report reports letter readme minutes specification spec memo essay article abstract thesis
        dissertation handbook manual documentation document proposal resume cv paragraph template
        agreement policy whitepaper summary grammar post-mortem postmortem appendix bericht protokoll
        brief dokument lebenslauf zusammenfassung rapport lettre paragraphe grammatik informe carta
        párrafo texto texte text testo lettera grammatica paragrafo отчёт* отчет* документ* formal
        bullet press description guide brochure leaflet flyer blog blogpost post column op-ed transcript
        notes outline toc charter bylaws nda tender bid rfp dossier datasheet changelog release-notes
        faq onboarding sop procedure statement bio biography profile recommendation complaint
        certificate invitation memoir wordy concise wording phrasing typo typos spelling punctuation
        sentence sentences passage translation translate english german french spanish italian informal
        draft manuscript slides presentation deck powerpoint handout worksheet syllabus englisch deutsch
        französisch spanisch vertrag anleitung handbuch gutachten satzung bewerbung anschreiben zeugnis
        stichpunkte absatz satz rechtschreibung aufsatz anglais allemand mode d'emploi rédaction
        compte-rendu contrat discours présentation inglés alemán acta resumen ensayo contrato redacción
        guía currículum presentación ortografía inglese tedesco verbale relazione saggio contratto guida
        riassunto tema inglês relatório ata redação resumo ortografia английск* немецк* резюме доклад*
        инструкц* договор* протокол* эссе engels verslag samenvatting handleiding sollicitatiebrief
        angielski sprawozdanie streszczenie podanie umowa rapor özet dilekçe makale engelska
        sammanfattning
    """,
    Intent.GENERATION: """
        function class regex script code json csv yaml xml sql query html css api endpoint image images
        picture photo logo icon illustration video jingle voiceover python javascript typescript rust
        java golang bash c++ react dockerfile docker-compose makefile cron unit tests dataset mockup svg
        wallpaper watercolor funktion skript bild programm image. imagen función imagem função immagine
        funzione fonction скрипт* функци* картин* изображен* код obraz skrypt app website component
        library curl cli manifest kubernetes k8s terraform ansible helm nginx config schema orm compiler
        parser lexer interpreter type types interface enum struct object array loop recursion algorithm
        sort binary graph tree table mock fixture sample placeholder lorem ipsum password uuid qr
        barcode qr-code avatar banner thumbnail sticker emoji meme portrait landscape painting drawing
        sketch cartoon manga pixel-art 3d render rendering animation gif clip audio sound music
        soundtrack beat voice tts chart diagram flowchart uml mermaid latex excel formula spreadsheet
        macro vba pandas numpy pytorch tensorflow flask django fastapi express nextjs vue angular svelte
        swift kotlin php ruby perl haskell ocaml scala elixir clojure julia matlab powershell awk sed jq
        webpage button form tailwind plugin extension bot chatbot sdk test-cases testcases sprite
        texture favicon tabelle klasse algorithmus programmcode foto symbol zeichnung gemälde datensatz
        webseite abfrage schnittstelle schéma requête programme classe dessin peinture page-web consulta
        clase dibujo tabla algoritmo cuadro disegno tabella desenho tabela código codice картинк* рисун*
        программ* запрос* таблиц* класс* алгоритм* plaatje afbeelding functie programma klasa obrazek
        zapytanie resim fonksiyon tablo
    """,
    Intent.COMMAND: """
        container server service process processes lights light thermostat volume notifications pod pods
        cluster job node daemon licht dienst lumières luces música servicio serveur sunucu* staging
        production font screen brightness bluetooth wifi wi-fi vpn disk cache logs log docker gpu cpu
        ram port firewall backup snapshot branch repo repository heating heater blinds curtains door
        garage camera tv speaker speakers radio song playlist fan ac air-conditioning vacuum robot oven
        washing lamp fans queue environment cronjob instance vm droplet bucket namespace deployment
        rollout replica replicas terminal tab window dark-mode fullscreen heizung lampe rollladen
        lautstärke festplatte speicher rechner drucker fernseher chauffage volets télé son imprimante
        calefacción lámpara persiana volumen pantalla impresora riscaldamento lampada schermo stampante
        aquecedor lâmpada tela impressora свет лампу громкость сервер* принтер verwarming scherm światło
        ekran ışık lampan skärmen
    """,
    Intent.RESEARCH: """
        sources source studies literature peer-reviewed citations cite references papers findings
        evidence survey quellen studien sources. fuentes fonti studi études источник* исследован* ссылк*
        research latest state-of-the-art meta-analyses publications statistics articles artikeln
        articoli artículos reviews badania links scholarly scholarship academic journal journals
        publication published researchers academics preprint preprints arxiv pubmed bibliography
        meta-analysis trials rct randomised randomized overview landscape news headlines recent
        developments trends facts statistic fact-check archive archives historians scientists experts
        patents studienlage forschung forschungsstand fachartikel literatur belege nachrichten neueste
        entwicklungen veröffentlichungen wissenschaftlich recherches actualités preuves bibliographie
        références estudio noticias bibliografía evidencia referencias investigación studio notizie
        bibliografia prove riferimenti ricerche estudos artigos notícias pesquisa pesquisas научн*
        статьи новост* литератур* onderzoek onderzoeken bronnen nieuws badań źródła źródeł wiadomości
        araştırma kaynak kaynaklar haber forskning källor nyheter
    """,
    Intent.PLANNING: """
        plan plans roadmap itinerary milestones phases checklist steps goals trip curriculum timetable
        strategy packing trainingsplan reiseplan itinéraire itinerario план* plano viaje viaggio reise
        voyage order schedule weekly quarters weekend planning planner routine regimen timeline backlog
        sprint sprints sequence phase stages stage prep preparation preparing ready chores rota diet
        workout training marathon renovation move moving wedding party holiday vacation travel visit
        tour sightseeing logistics to-do todo todos to-dos deadline deadlines priorities milestone
        dependencies owners goal habit habits contingency fallback reihenfolge ablauf ablaufplan
        zeitplan vorbereitung umzug hochzeit urlaub ausflug route schritte ziele lernplan einkaufsliste
        révision étapes préparation déménagement mariage vacances rutina preparación pasos mudanza boda
        vacaciones metas etapas preparazione passi trasloco matrimonio vacanza tappe rotina preparação
        mudança casamento férias подготовк* маршрут* поездк* этап* расписан* распорядок voorbereiding
        stappenplan verhuizing bruiloft vakantie przygotowania wakacje podróż kroki hazırlık tatil gezi
        förberedelse resa steg
    """,
    Intent.BUSINESS: """
        profit margin revenue pricing price churn mrr arr saas b2b go-to-market invoice invoices
        customers competitors kpi kpis vat swot break-even market sales runway startup acquisition roi
        ltv cac arpu freelance supplier shop agency umsatz gewinn deckungsbeitrag geschäftsmodell
        rechnung kunden preis kosten bénéfice prix tarif prestations ventas mercado precio negocio
        fattura prezzo clienti preço venda lucro рентабельн* прибыл* цен* бизнес* charge charges
        wholesale seed dilution business commission marketplace rebate discount discounts payment terms
        net-30 net-60 net-90 cash cashflow cash-flow liquidity loan equity investor investors investment
        valuation fundraising venture vc angel profitability ebitda gross overhead overheads payroll
        salary salaries wages tax taxes taxable deduct deductible bookkeeping accounting ledger expense
        expenses cost costs budget quote estimate rate hourly retainer procurement vendor vendors
        wholesaler retail retailer ecommerce e-commerce store storefront shopify etsy brand branding
        positioning segment segments niche campaign ads advertising seo leads funnel retention loyalty
        guests bookings occupancy upsell cross-sell subscription subscriptions licensing franchise llc
        ltd gmbh incorporate incorporation self-employed freelancer partnership shareholder shareholders
        stock hire hiring insurance export import tariff tariffs turnover bankruptcy insolvency client
        clients negotiation provision kleinunternehmer selbständig selbständige gewerbe steuer steuern
        finanzierung kredit investition kunde kundenbindung vertrieb marketing umsatzsteuer gehalt firma
        unternehmen gründung angebot lohnt entreprise chiffre d'affaires marge impôt impôts fournisseur
        investissement embauche auto-entrepreneur facture facturer boutique empresa negocios margen
        impuesto impuestos cliente proveedor inversión precios facturar tienda autónomo rentable
        conviene azienda impresa margine tasse fornitore investimento fatturare negozio partita-iva
        prezzi margem imposto impostos fornecedor loja faturamento mei налог* клиент* компани* инвестиц*
        магазин* ип зарплат* bedrijf winst omzet belasting klant klanten prijs zysk podatek klienci
        sprzedaż şirket kâr vergi müşteri fiyat företag vinst skatt kunder
    """,
    Intent.CALENDAR: """
        calendar agenda meeting appointment reminder alarm slot standup one-on-one termin kalender
        rendez-vous réunion reunión cita appuntamento riunione встреч* совещани* afspraak birthday
        tomorrow today monday tuesday wednesday thursday friday saturday sunday morgen montag dienstag
        mittwoch donnerstag freitag demain mañana domani завтра free interviews toplantı spotkanie
        appointments meetings reminders lunch dinner dentist doctor haircut noon midnight availability
        available busy event events rsvp invite time-slot half-hour o'clock anniversary recurring 1:1
        one-to-one sync catch-up call tonight termine besprechung erinnerung treffen geburtstag mittag
        nachmittag vormittag uhr kalendereintrag zahnarzt arzttermin rdv rappel disponible médecin
        dentiste anniversaire midi jeudi mercredi lundi mardi vendredi samedi dimanche citas
        recordatorio dentista médico cumpleaños mediodía lunes martes miércoles jueves viernes sábado
        domingo calendario appuntamenti promemoria compleanno mezzogiorno lunedì martedì mercoledì
        giovedì venerdì compromisso lembrete aniversário segunda-feira terça-feira quarta-feira
        quinta-feira sexta-feira напоминани* календар* понедельник* вторник* сред* четверг* пятниц*
        afspraken vergadering herinnering verjaardag maandag dinsdag woensdag donderdag vrijdag
        spotkania urodziny poniedziałek wtorek środę czwartek piątek randevu hatırlatma doğum möte
        födelsedag måndag tisdag onsdag torsdag fredag
    """,
    Intent.EMAIL: """
        email emails e-mail e-mails mail mails inbox newsletter newsletters follow-up out-of-office
        thread unread subject recruiter correo courriel posta письм* почт* mensaje wiadomość e-posta
        message messages reply replies sender spam attachment attachments attached signature drafts
        folder mailbox mailing threads gmail outlook imap dear regards sincerely cordially autoreply
        auto-reply cc bcc correspondence postfach posteingang nachricht nachrichten betreff antwort
        anhang geschrieben abwesenheitsnotiz boîte réponse objet pièce-jointe bandeja correos mensajes
        asunto respuesta adjunto casella messaggio messaggi risposta oggetto allegato caixa mensagem
        mensagens assunto resposta anexo сообщен* ответ* вложени* postvak bijlage wiadomości odpowiedź
        załącznik mesaj gelen ek meddelande svar bilaga mejl
    """,
}
