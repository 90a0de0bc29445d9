/**
 * Words that speak of harm, by what they speak of; a star stands for any ending. Written from general knowledge;
 * four texts of the labelled sets had been read. How much a group counts, and for what, is learned (`harm-model.ts`): a
 * word in it proves nothing. Offensive words stand here because texts are searched for them.
 */
export const harmLexicon = {
  explicit:
    'fuck fucks fucked fucking fucker cock* dick dicks pussy pussies cunt* cum cums cumming cummed orgasm* ' +
    'nipple* vagina* penis* anal anus blowjob* handjob* clit* horny masturbat* dildo* porn* hentai milf* ' +
    'erect erection* semen sperm boner jerking tits titties boob boobs tit throbbing genital* rimjob gangbang ' +
    'creampie bukkake deepthroat buttplug ejaculat* labia vulva crotch asshole',
  sensual:
    'sex sexual* sexy naked nude nudes nudity breast* lust* erotic* arous* moan* thrust* undress* panties bra ' +
    'lingerie bdsm bondage threesome virgin virginity seduc* fetish* kiss* lick* suck* strip stripped ' +
    'stripping thigh* lips tongue caress* grop* fondl* intimate bed bedroom hips passion* pleasure* ' +
    'submissive dominat* dominatrix spank* kinky prostitut* hooker* escort* stripper* hookup intercourse',
  coercion:
    'rape* raping rapist* molest* incest* pedo pedos pedophil* paedo* lolita loli groom* abus* assault* ' +
    'forced unconscious nonconsensual consent trafficking',
  minors:
    'child children kid kids minor minors teen teens teenage* teenager* underage boy boys girl girls ' +
    'daughter* son sons stepdaughter stepson stepsister stepbrother stepmom niece* nephew* schoolgirl* baby ' +
    'toddler* young younger youngest preteen* sister brother mother father mom dad student students school ' +
    'grade aged year-old',
  slurs:
    'nigg* fag fags faggot* kike* chink* spic spics gook* tranny trannies retard* paki pakis raghead* ' +
    'towelhead* wetback* coon coons dyke dykes beaner* shemale* mongoloid* redskin* gypsy gypsies subhuman* ' +
    'untermensch* goy goyim cuck* libtard* feminazi* negro* mulatto* zipperhead* sodomite* thot thots',
  groups:
    'muslim* islam* jew jews jewish zionis* gay gays lesbian* homosexual* bisexual* lgbt* black blacks white ' +
    'whites immigrant* migrant* mexican* asian asians indian* african* arab arabs women woman females female ' +
    'men males trans transgender* transexual* race races racial christian* catholic* hindu* refugee* feminis* ' +
    'disabled disability autistic american* chinese japanese korean* russian* ukrainian* israeli* palestin* ' +
    'latino* hispanic* foreigner* minorit* ethnic* religion* religious people them those',
  dehumanise:
    'inferior* superior* vermin savage* breed* infest* parasit* deport* supremac* nazi* hitler* holocaust ' +
    'genocid* scum* filth* invad* invasion* animals monkey* ape apes rats cockroach* pigs dogs disease* ' +
    'plague cleans* purity pure exterminat* eradicat* lynch* slave* slaves slavery stereotyp* racist* racism ' +
    'bigot* sexist* sexism homophob* kkk klan gas ovens uncivilized primitive criminals thieves lazy lesser ' +
    'degenerate* agenda',
  kill:
    'kill* murder* stab stabs stabbed stabbing shoot* shot gun guns knife knives behead* decapitat* tortur* ' +
    'slaughter* massacre* bomb bombs bombing* explo* strangl* suffocat* execut* assassin* terroris* isis ' +
    'jihad* attack* weapon* rifle* bullet* pistol* grenade* sword* axe machete* hostage* shooter* shooting* ' +
    'ambush* threat* destroy* war wars battle* army soldier* fight* fought enemy',
  gore:
    'blood bloody bloodied bleed* corpse* skull* brain* guts limbs limb severed sever flesh dismember* ' +
    'mutilat* wound* gore gory intestine* eyeball* scream* bone bones organs throat chest stomach pool sliced ' +
    'slice slit crush* smash* rip ripped ripping tore torn burn* burned hack* carcass* rot rotting decay* ' +
    'agony',
  hurt:
    'beat beats beaten beating punch* kick kicked kicking choke* choking slap* hit hits hitting hurt* pain* ' +
    'violen* hang hanged break broke broken cruel* revenge suffer* victim* brutal* abuse harm* force bash ' +
    'bashed throw threw drown* poison* whip whipped chained tied',
  dead: 'dead death* die dies died dying deadly corpse grave funeral buried bury alive lifeless',
  suicide:
    'suicid* kms selfharm overdos* noose thinspo anorexi* bulimi* purg* starv* wrist* razor* blade* scars ' +
    'cutting cutter cuts cut slicing hanging jump bridge pills pill cliff unalive ana mia laxative* binge ' +
    'calories fasting',
  despair:
    'depress* hopeless* worthless* lonely alone numb miserab* cry crying cried sad sadness tired anxiety ' +
    'anxious therapist* therapy empty emptiness hate myself nobody anymore giving give life living end pain ' +
    'burden pointless goodbye help feel feeling',
  insult:
    'idiot* stupid* moron* dumb* bitch* bastard* pathetic disgust* ugly fat trash garbage scumbag* jerk ' +
    'douche* twat* wank* prick* imbecile* worthless loser* fool* clown* coward* liar* pig fuckface cretin* ' +
    'nasty creep* freak* weirdo* sicko disgrace* joke useless hideous vile whore* slut* hoe hoes skank* ' +
    'dirtbag* asshat* dipshit* dumbass* shithead*',
  profane:
    'shit* bullshit crap damn* goddamn* hell ass asses arse piss* pissed fuckin* motherfuck* wtf stfu bloody ' +
    'f*ck screw suck sucks sucked dammit',
  threat:
    'gonna will going watch coming find hunt pay regret warn* warning deserve* should must better burn rot ' +
    'hope hang',
  you: "you your yours you're yourself u ur",
  me: "i me my mine myself i'm i've i'll",
  they: 'they them their he she him her his hers we us our',
  plain:
    'please write summarize translate code function python recipe company business software data customer ' +
    'product service email market team project technology design analysis report price games game music movie ' +
    'history science research university thank thanks travel hotel food weather article website app',
} as const satisfies Record<string, string>
