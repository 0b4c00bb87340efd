"""The words that the router goes by whatever the intent, in lower case: data, no decisions.

`STRONG` nouns count wherever they stand, `WEAK` ones hardly. `MAKE` asks for something and leaves it to the noun
what, `ASKING` begins a question, `POLITE` is skipped at a sentence's start, `OWN` tells that the asker's own
affairs are meant. `HARD` words promise effort (by points), `EASY` ones little. German `COMPOUNDS` end in these.
"""

STRONG = """
    sources peer-reviewed literature citations studies quellen studien fuentes fonti études источник*
    ссылк* email e-mail mail inbox correo письм* poem haiku limerick calendar kalender go-to-market swot
"""

WEAK = """
    today tomorrow monday tuesday wednesday thursday friday saturday sunday morgen montag dienstag
    mittwoch donnerstag freitag demain mañana domani завтра free order weekly weekend quarters
    production staging business better birthday strategy links wrong evidence stack slow subject
    research description formal steps schedule character setting document document* plan* plano
    customers problem sense options option choose offers cause sound fair sentence sentences text
    english german french spanish italian englisch deutsch anglais inglés inglese note notes draft post
    column statement profile type types object table sort graph tree form button window tab door song
    queue branch fan camera screen environment overview landscape news recent developments trends
    figures facts archive published preparation preparing ready move moving visit travel party holiday
    stage stages phase sequence cost costs rate cash terms gross brand campaign staff client clients
    estimate quote budget import export lunch dinner call noon tonight uhr date event events available
    busy doctor dentist message messages reply replies dear attached invite jeudi mercredi lundi mardi
    vendredi samedi dimanche lunes martes miércoles jueves viernes sábado domingo lunedì martedì
    mercoledì giovedì venerdì понедельник* вторник* сред* четверг* пятниц* maandag dinsdag woensdag
    vrijdag poniedziałek wtorek środę czwartek piątek måndag tisdag onsdag torsdag fredag mittag
    nachmittag vormittag mediodía midi difference meaning point rule weight height distance convert
    formula hero villain dragon quotes plot tune sample binary loop array error errors logic claim valid
    ответ* ausflug route schritte antwort bericht nachricht firma unternehmen kunde stock passage
    translate translation goal goals priorities sprint owners schritt name names
"""

MAKE = """
    write draft make create give generate build design prepare produce craft develop show schreib
    schreibe erstelle erzeuge entwickle verfasse gib écris rédige crée génère fais donne escribe crea
    genera haz redacta scrivi crie escreva faça напиши* создай* сделай* napisz stwórz yaz schrijf maak
    come update fill turn finish help continue describe devise put pen need want assemble compose lay
    whip hook knock formulate erstell bau baue entwirf formuliere liefer bereite prépare conçois
    construis dame prepara diseña elabora construye dammi progetta costruisci elabore construa подготовь
    дай составь geef bouw ontwerp przygotuj zrób hazırla hazırlayın gör skapa skriv
"""

ASKING = """
    what who whom whose when where why which how is are was were does do did can could should would will
    has have whats what's who's how's where's why's explain define wer wie wo wann warum wieso welche
    welcher welches ist sind kann que qui quoi quand où pourquoi comment combien quel quelle quels
    est-ce qué quién cuándo dónde cómo cuál cuánto cuántos por chi che cosa quando dove perché come
    quanto quanti quale qual quem como onde porque quantos что кто где когда почему как сколько какой
    какая зачем wat waar hoe waarom hoeveel jak kto gdzie kiedy dlaczego ile co ne kim nerede hangisi
    hangi vad vem hur när wouldn't couldn't isn't aren't doesn't don't didn't how'd who'd any anyone
    anybody hast hat habt gibt geht darf soll sollte sollten könnte stimmt woher wohin wofür wieviel
    inwiefern y-a-t-il peut-on est a-t-il faut-il dois-je laquelle lequel hay puedo debo debería cuáles
    es está hanno c'è posso devo quali è há quais é tem можно есть ли должен какие чей kunnen mag zijn
    welke czy który która mogę mu mı neden kaç kan finns vilken varför vilka
"""

POLITE = """
    please pls plz kindly can could would you will need want to help me us hey hi hello ok okay just now
    bitte mir uns kannst du könntest s'il te vous plaît peux-tu pouvez-vous por favor puedes per favore
    puoi mi пожалуйста let's lets a an the some and then also my i'd like gonna wanna really quick
    question thx pretty one more again well um uh mal doch noch ich möchte hätte gern gerne brauche je
    voudrais j'aimerais moi quiero necesito gustaría vorrei quisiera quero preciso gostaria хочу мне
    нужно надо wil graag alstublieft proszę lütfen snälla i so
"""

OWN = """
    i we us me my our mine ich wir uns je nous yo meine mein meinen mon ma mes mi mis il mio mia meu
    minha мой моя мои мне mijn unser unsere unserem nos notre nuestro nuestra nostro nossa наш наша wij
    ons onze
"""

HARD: dict[int, str] = {
    4: """
        prove proof theorem counterexample lemma systematic consensus constitutional beweise démontre
        demuestra
    """,
    2: """
        lock-free concurrency distributed zero-downtime derive formally deterministic linearizability
        interleaving heterogeneity dilution covenants raft paxos byzantine asymptotic quantum relativity
        bayesian compiler rigorous exhaustive in-depth deep dissertation compare comparer compara
        vergleiche сравни* evaluate évalue evalúa bewerte assess analyse analyze analysiere analiza
        проанализ* diagnose interpret critically strategy estrategia strategie stratégie стратеги*
        business-model geschäftsmodell forecast
    """,
    1: """
        architecture trade-offs tradeoffs trade-off migration migrations compliance legal contract
        agreement risks risk scenarios roadmap protocol race deadlock optimise optimize argument
        arguments assumptions weigh hypotheses evidence rollback dependencies constraints multi-tenant
        scalable security authentication technical specification performance latency throughput
        governance regression statistically peer-reviewed implications root-cause competitors novel
        chapter explanation model refactor post-mortem methodology phases milestones permissions
        quarters must memory concurrent thread-safe offline real-time websocket unreliable pluggable
        negotiate liability funding recommend explain strict studies studien études estudios studi papers
        literature scholarship        исследован* semantics
    """,
}

HARD_SIGNS = """
    分析 竞争 证明 証明 研究 調査 比較 评估 評価 架构 設計 策略 参考文献 出典
"""

LOOK_UP = """
    look find search dig suche cherche busca cerca найди
"""

COMPOUNDS = """
    termin kalender gedicht geschichte bericht protokoll rechnung umsatz funktion skript plan studie
    quelle
"""

EASY = """
    quick quickly short brief briefly simple simply small tiny one-sentence easy basic five-year-old
    kurz kurze schnell einfach court courte rapide corto corta breve rápido sencillo simples curto
    короткий просто funny lustig lustigen
"""
