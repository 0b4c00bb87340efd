"""The words by which the router tells what is to be done, by intent, in lower case: data, no decisions.

`VERBS` stand at the start of a sentence; `PAIRS` are two words in a row; `SIGNS` are looked for anywhere in
scripts that put no blanks between words. One that ends in `*` stands for all (Cyrillic) words beginning so.
"""

from activities.contracts.policy import Intent

VERBS: dict[Intent, str] = {
    Intent.CONVERSATION: """
        hi hello hey hallo moin servus salut bonjour bonsoir hola buenas ciao salve oi olá ola hej tjena
        cześć merhaba привет здравствуй* thanks thank thx danke merci gracias grazie obrigado obrigada tack
        спасибо bye goodbye tschüss haha hahaha lol lmao wow yay congrats sorry nevermind cheers welcome yo
        yes yeah yep nope okay ok cool nice great awesome guten buongiorno hmm ugh omg aww oops meh yikes
        hooray sigh whatever sure absolutely exactly agreed morning evening night greetings g'day yup nah
        jajaja hihi na tja ach genau stimmt super toll prima schade ouais bof génial vale claro genial venga
        dai certo perfetto beleza legal ahoj dzień selam xin ага ладно пока
    """,
    Intent.QUESTION: """
        prove beweise démontre demuestra докажи* solve calculate compute berechne calcule calcula wonder
        wondering explique explica spiega erkläre explain объясни* leg uitleg wyjaśnij açıkla förklara
    """,
    Intent.ANALYSIS: """
        analyse analyze analysiere compare comparer evaluate assess review critique judge rate rank diagnose
        interpret examine debug contrast weigh audit inspect classify troubleshoot vergleiche bewerte
        beurteile prüfe analysez évalue évaluez analiza compara evalúa analizza confronta valuta analise
        сравни* проанализ* оцени* porównaj vergelijk spot pinpoint appraise scrutinise scrutinize score grade
        verify validate determine dissect deconstruct benchmark untersuche begutachte erörtere critiquez juge
        vérifie examina revisa critica esamina verifica avalie julgue разбери проверь beoordeel controleer
        oceń sprawdź değerlendir granska
    """,
    Intent.CREATION: """
        invent compose imagine brainstorm improvise rap denk erfinde dichte inventa imagina сочини* придума*
        invente pen rhyme reim reime worldbuild dream fabricate serenade narrate roleplay pretend erzähl
        erzähle raconte cuenta cuéntame narra racconta conte verzin dicht wymyśl uydur hitta
    """,
    Intent.DOCUMENT: """
        summarise summarize translate proofread rewrite rephrase paraphrase shorten condense edit reword
        polish transcribe reformat format fasse übersetze korrigiere formuliere kürze überarbeite traduis
        traduisez résume résumez corrige reformule resume traduce reescribe traduci riassumi correggi
        riscrivi traduza resuma reescreva corrija перевед* резюмир* исправ* перепиш* vertaal vat przetłumacz
        simplify streamline tighten expand elaborate abridge digest recap excerpt bullet caption subtitle
        localise localize revise redraft word tl;dr tldr redline typeset vereinfache straffe ergänze
        protokolliere formulier simplifie raccourcis complète simplifica acorta semplifica accorcia
        simplifique encurte сократи упрости samenvatten streść skróć özetle çevir sammanfatta översätt
    """,
    Intent.GENERATION: """
        implement code refactor render scaffold implementiere programmiere codifica programa implementa
        реализуй* convert port draw paint sketch animate zeichne dessine dibuja disegna нарису* program
        script compile seed autocomplete minify lint transpile containerize containerise dockerize parse
        serialize colorize colourise upscale photoshop retouch illustrate visualize visualise plot composite
        synthesize skizziere male illustriere dibújame esquisse illustre ritrai desenhe teken narysuj çiz
        rita
    """,
    Intent.COMMAND: """
        restart reboot start stop kill run execute open close delete remove rename deploy install uninstall
        upgrade downgrade turn switch enable disable mute unmute play pause shutdown list copy download
        upload mount unmount load unload scale drain rollback sudo git rm ls cd docker kubectl npm pip
        systemctl apt brew launch activate deactivate connect disconnect lock unlock dim set push starte
        stoppe beende lösche öffne schalte mach installiere spiele arrête démarre redémarre ouvre ferme
        supprime allume éteins lance apaga enciende abre cierra borra reinicia ejecuta pon spegni accendi
        avvia ferma riavvia apri cancella desligue ligue reinicie удали* запуст* останов* перезапус* включ*
        выключ* откро* kapat aç başlat uruchom wyłącz bring check clear undo redo revert reset resume retry
        abort raise lower increase decrease bump brighten arm disarm wipe format flush purge prune clean
        empty zip unzip compress extract tail grep chmod chown ssh ping curl wget save print scan record
        capture screenshot pair skip next previous rewind volume attach detach restore backup sync pull fetch
        checkout commit rebase apply provision spin terminate suspend hibernate sleep configure register
        deregister assign unassign grant revoke rotate monte baisse coupe sube baja pausa detén configura
        alza abbassa metti aumente diminua pare zet doe sluit ustaw zamknij wyczyść ayarla durdur stäng sätt
        пауза поставь закрой очисти dreh leere kopiere speichere aktiviere deaktiviere lade
    """,
    Intent.RESEARCH: """
        conduct research investigate recherchiere recherche investiga cerca ricerca pesquise поищи* gather
        survey исследу* erforsche compile explore trace fact-check crossreference cross-reference scour
        unearth ermittle durchsuche enquête averigua rastrea indaga approfondisci levante разузнай zoek
        onderzoek zbadaj araştır undersök
    """,
    Intent.PLANNING: """
        plan plane planifie planifica planea pianifica planeje organize organise outline roadmap prioritise
        prioritize спланиру* составь zaplanuj sequence map lay arrange coordinate strategise strategize
        allocate stage organisiere strukturiere organiza programma organizza programe організуй распланируй
        ułóż zaplanować planla planera
    """,
    Intent.BUSINESS: """
        negotiate monetise monetize invoice price upsell pitch underwrite forecast bootstrap license
        franchise kalkuliere chiffre presupuesta fattura orce
    """,
    Intent.CALENDAR: """
        schedule reschedule remind book erinnere trag verschiebe décale rappelle recuérdame recuerda agenda
        agende lembre fissa prenota ricordami напомни* block cancel move postpone wake rebook unschedule rsvp
        pencil invite reserve slot vereinbare weck blockiere verlege réserve réveille annule reprogramme
        agéndame reserva cancela despiértame segna svegliami sposta annulla marque acorde запиши перенеси
        разбуди отмени herinner verzet przypomnij umów hatırlat boka påminn
    """,
    Intent.EMAIL: """
        email mail reply forward antworte réponds responde rispondi ответь* archive unsubscribe cc bcc
        respond send answer message notify cc'd star flag leite maile benachrichtige relance transfère
        reenvía contesta inoltra scrivigli encaminhe responda перешли отпиши beantwoord prześlij odpisz
        yanıtla skicka svara
    """,
}

PAIRS: dict[Intent, str] = {
    Intent.CONVERSATION: """
        good morning, good evening, good night, good afternoon, how are, what's up, see you, thank you, to
        meet, just chat, about yourself, wie geht, geht's dir, ça va, qué tal, come stai, piacere di, как
        дела, tudo bem, hur mår, take care, my day, vielen dank, danke dir, no worries, do you, are you, be
        you, i'm feeling, how's it, good luck, talk to, mir ist, i feel, i'm so, can't believe, let's talk,
        talk about, guess what, i love, i hate, i miss, makes me, my birthday, bless you, happy birthday,
        happy new, merry christmas, sweet dreams, get some, over here, you're welcome, you've been, you're
        so, you are, bis bald, bis morgen, schönes wochenende, gute nacht, guten morgen, guten abend, à
        demain, bonne nuit, bonne journée, je suis, buenas noches, buenos días, hasta mañana, estoy muy,
        buona notte, a domani, boa noite, bom dia, добрый день, доброе утро, добрый вечер, спокойной ночи,
        goede morgen, dobra noc, dzień dobry, iyi geceler, god natt
    """,
    Intent.QUESTION: """
        always wondered, curious about, difference between, meaning of, capital of, how come, what happens,
        what if, stand for, stimmt es
    """,
    Intent.ANALYSIS: """
        pros and, what's wrong, going wrong, strengths and, weaknesses of, likely explanation, root cause,
        for bugs, make sense, vor und, odd one, code review, le differenze, the mistake, too strict, too
        aggressive, too long, which one, which is, better option, more sense, makes sense, sound ok, sounds
        ok, sound right, look right, looks right, any good, thoughts on, your thoughts, your opinion, what
        do, positive or, negative or, worth it, what could, might be, why is, why does, why do, why are,
        doesn't work, not working, keeps failing, keeps crashing, compared to, as opposed, versus the, the
        claim, the argument, support the, trop agressif, zu hart, was hältst, que penses, qué opinas, cosa
        ne, o que
    """,
    Intent.CREATION: """
        make up, come up, a joke, funny story, style of, opening chapter, role-playing game, once upon, short
        story, bedtime story, song about, poem about, story about, lyrics about, joke about, speech for, name
        for, names for, toast for, ideas for, in rhyme, two scenes, a scene, make believe
    """,
    Intent.DOCUMENT: """
        cover letter, meeting minutes, action items, table of, executive summary, sound more, product
        description, cover sheet, press release, these notes, fix the, the grammar, bullet points, in
        english, in german, in french, in spanish, into english, into german, into french, into spanish, auf
        englisch, auf deutsch, en anglais, en inglés, in inglese, em inglês, на английский, less wordy, more
        formal, more concise, sound better, sounds better, text below, the text, following text, this text,
        this paragraph, this article, user guide, put together, in plain, plain language, plain english, user
        manual, terms of, letter of, statement of, business letter, the minutes, acta de, compte rendu, mode
        d'emploi, diesen text, folgenden text, ce texte, este texto, questo testo
    """,
    Intent.GENERATION: """
        picture of, image of, unit test, unit tests, code that, program that, script that, function that,
        function to, code for, code to, query that, query to, data for, test data, sample data, dummy data,
        van gogh, look like, logo for, bild von, image d'un, image d'une, foto de, imagen de, immagine di,
        front end, back end, type for, class for, table with, landing page, excel formula, in python, in
        javascript, in rust, in go, in java, in typescript
    """,
    Intent.COMMAND: """
        turn off, turn on, shut down, the lights, das licht, la luz, la música, the file, turn it, turn up,
        turn down, shut it, switch off, switch on, lights out, lights off, lights on, bring down, bring up,
        bring the, scale up, scale down, spin up, check disk, disk space, the cache, the logs, the server,
        the volume, the font, the job, the container, the service, undo that, stop that, do it, go ahead, log
        out, sign out, log in, mach das, mach die, mach den, éteins la, baisse le, monte le, sube el, baja el
    """,
    Intent.RESEARCH: """
        look up, deep dive, state of, search the, search for, find me, fact check, literature review, latest
        research, dig up, with references, with sources, with citations, mit quellen, suche nach, find out,
        une recherche, systematic review, your sources, current state, everything known, give sources, what
        evidence, any evidence, evidence for, evidence that, studies on, studies about, research on, research
        about, papers on, papers about, articles on, articles about, literature on, news about, recent news,
        latest news, who has, published on, key scholarship, key publications, last twenty, past decade, last
        decade, find studies, find papers, find research, finde heraus, schau nach, such nach, studien zu,
        estudios sobre, studi su, études sur, new developments, opening hours, reviews of, compile a, gather
        everything, everything about, not opinions, currently known
    """,
    Intent.PLANNING: """
        break down, next steps, what order, what steps, should i, project plan, meal plan, packing list,
        study schedule, step plan, organise my, organize my, to-do list, plan de, in phases, get ready,
        getting ready, prepare for, preparing for, best order, right order, which order, welcher reihenfolge,
        lay out, walk me, step by, by step, day by, week by, spend the, weekly goals, day trip, days in, day
        in, weekend in, programme de, plan for, plan to, plan my, how should, was muss, what needs, has to,
        checklist for, schritt für, paso a, passo dopo, étape par
    """,
    Intent.BUSINESS: """
        business model, how much, my business, our clients, our churn, profit margin, market entry, should
        we, price my, modello di, my shop, my store, our shop, my company, our company, our customers, my
        customers, my clients, our biggest, payment terms, cash flow, my startup, our startup, to charge,
        charge for, price for, prices for, sell more, more customers, more guests, market size, the market,
        business plan, sole trader, small business, raise prices, los precios, les prix, die preise, lohnt
        sich, mi negocio, ma boîte, mon entreprise, mein unternehmen, meine firma, go-to-market strategy
    """,
    Intent.CALENDAR: """
        my calendar, my agenda, am i, meeting with, remind me, an alarm, my next, a meeting, next week,
        termin mit, a slot, mein nächster, my standup, do i, wake me, put lunch, put dinner, my schedule, my
        diary, my week, my day's, my monday, my tuesday, my wednesday, my thursday, my friday, clear my, free
        on, free at, free this, free tomorrow, free next, i free, i seeing, this afternoon, this evening,
        tomorrow at, monday at, tuesday at, wednesday at, thursday at, friday at, saturday at, sunday at, on
        monday, on tuesday, on wednesday, on thursday, on friday, appointment with, call with, lunch with,
        dinner with, meet with, meeting at, hab ich, habe ich, noch zeit, um neun, um zehn, tengo libre,
        estoy libre, ho impegni, sono libero, tenho tempo, wann habe, next appointment, next meeting, first
        meeting, time off, per week
    """,
    Intent.EMAIL: """
        follow up, e mail, write me, reply to, wrote me, polite reply, by mail, by email, via email, via
        mail, per mail, par mail, por correo, via e-mail, let my, let him, let her, let them, tell him, tell
        her, tell my, tell them, know i'll, know that, know i, from hr, message from, messages from, reply
        from, heard back, hear back, get back, send him, send her, send them, send it, write to, writing to,
        my boss, dear mr, dear ms, dear mrs, kind regards, best regards, sehr geehrte, mit freundlichen,
        thank-you note, mir geschrieben, schon geschrieben, m'a écrit, me escribió, mi ha, unread messages,
        the inbox, my inbox
    """,
}

SIGNS: dict[Intent, str] = {
    Intent.CONVERSATION: """
        こんにちは おはよう ありがとう 元気 你好 谢谢 早上好 안녕 감사 مرحبا شكرا السلام नमस्ते धन्यवाद
    """,
    Intent.QUESTION: """
        是多少 什么 为什么 几个 哪 吗 何です 何メートル 誰 なぜ どこ いつ ですか 무엇 어디 누구 왜
        क्या कौन कहाँ क्यों ما هي هو من
    """,
    Intent.ANALYSIS: """
        分析 比较 比較 优劣 優劣 評価 评价 评估 分析して 비교 분석 قارن حلل तुलना विश्लेषण
    """,
    Intent.CREATION: """
        一首 写诗 故事 诗 俳句 物語 小説 詩 笑话 시를 이야기 قصيدة قصة कविता कहानी
    """,
    Intent.DOCUMENT: """
        翻译 总结 摘要 润色 要約 翻訳 添削 報告書 报告 번역 요약 ترجم لخص अनुवाद सारांश
    """,
    Intent.GENERATION: """
        画像 图片 代码 函数 脚本 写一个 生成 関数 コード プログラム 이미지 코드 함수 صورة كود कोड
    """,
    Intent.COMMAND: """
        重启 启动 停止 删除 关掉 打开 再起動 消して つけて 削除 起動 재시작 삭제 أعد تشغيل احذف
    """,
    Intent.RESEARCH: """
        调研 参考文献 研究进展 文献 調査 出典 論文 研究動向 조사 논문 ابحث مصادر शोध
    """,
    Intent.PLANNING: """
        计划 规划 行程 プラン 計画 日程表 계획 일정표 خطة योजना
    """,
    Intent.BUSINESS: """
        利润 营收 定价 市场份额 請求書 売上 利益 価格設定 이익 매출 أرباح
    """,
    Intent.CALENDAR: """
        会议改到 提醒我 日历 预约 予定に 予定を リマインド 会議を 약속 알림 موعد ذكرني
    """,
    Intent.EMAIL: """
        邮件 收件箱 メール 이메일 بريد ईमेल
    """,
}
