#!/usr/bin/env python3
"""Data for `longspan sql`: questions over made-up tables with their SELECT as chat records to train on, and three
databases (a library, a shop, a weather station) with 100 questions that were written by hand, to test on.

    tools/make_sql_data.py OUT [--records 6000] [--seed 1]

writes OUT/train.jsonl (records of `longspan train`), and for each test database NAME OUT/NAME.db and OUT/NAME.jsonl
(question, sql). Training knows no table of the test databases, none of their columns but id and name,
none of their values, and none of the sentences that they are asked in: check_apart() refuses to write otherwise. All
rows and names are made here."""
import argparse
import json
import pathlib
import random
import re
import sqlite3

import sql_test_data

# A line is a table: plural/singular: columns, and -> the tables that it refers to. A column is NAME=KIND[:VALUES]:
# label (what a row is called), cat (one of few words), int, real, date.
DOMAINS = """
zoo
animals/animal: nickname=label species=cat:lion,tiger,zebra,giraffe,panda,otter weight=real:2-4000 age=int:1-40 -> keepers
keepers/keeper: full_name=label salary=int:18000-60000 hired=date shift=cat:early,late,night
gym
visitors/visitor: full_name=label age=int:16-80 plan=cat:basic,plus,premium,student fee=real:15-90 signed_up=date -> trainers
trainers/trainer: full_name=label sport=cat:boxing,yoga,swimming,cycling wage=int:1200-4000
school
pupils/pupil: name=label grade=int:1-12 score=real:0-100 house=cat:north,south,east,west -> teachers
teachers/teacher: name=label subject=cat:maths,history,biology,art,music seniority=int:0-35
hospital
patients/patient: full_name=label age=int:0-99 ward=cat:surgery,children,heart,eyes admitted=date -> doctors
doctors/doctor: full_name=label speciality=cat:surgeon,dentist,physician experience=int:1-40 bonus=real:0-900
airline
flights/flight: code=label distance=int:200-12000 delay=int:0-300 departed=date -> aircraft
aircraft/plane: model=label seats=int:20-400 maker=cat:Boeing,Airbus,Embraer built=int:1990-2023
garage
cars/car: plate=label colour=cat:red,blue,black,white,silver mileage=int:100-300000 power=int:50-400 -> owners
owners/owner: name=label phone=label city=cat:Leeds,York,Hull,Derby age=int:18-90
repairs/repair: task=cat:brakes,engine,tyres,paint cost=real:20-3000 done_on=date -> cars
football
players/player: name=label position=cat:goalkeeper,defender,midfielder,striker goals=int:0-40 salary=int:10000-900000 -> teams
teams/team: name=label stadium=label founded=int:1880-2000 division=cat:first,second,third
matches/match: venue=label attendance=int:100-90000 played_on=date -> teams
cinema
films/film: caption=label style=cat:comedy,drama,horror,western minutes=int:60-220 budget=real:1-300 -> directors
directors/director: name=label nation=cat:France,Italy,Japan,Brazil awards=int:0-20
farm
fields/field: label=label crop=cat:wheat,corn,barley,oats hectares=real:1-80 sown=date -> farmers
farmers/farmer: name=label village=cat:Elm,Ash,Oakton,Birch cows=int:0-200
hotel
rooms/room: number=label kind=cat:single,double,suite rate=real:40-600 floor=int:0-20 -> hotels
hotels/hotel: name=label stars=int:1-5 district=cat:harbour,centre,park
bookings/booking: guest=label nights=int:1-21 arrived=date -> rooms
company
employees/employee: full_name=label wage=int:20000-150000 role=cat:engineer,clerk,manager,designer started=date -> departments
departments/department: name=label budget=int:10000-5000000 floor=int:1-30
projects/project: codename=label hours=int:10-9000 status=cat:open,closed,paused -> departments
museum
paintings/painting: caption=label technique=cat:oil,ink,watercolour worth=real:100-900000 painted=int:1500-2020 -> artists
artists/artist: name=label movement=cat:baroque,cubism,romanticism birth_year=int:1450-1990
bakery
cakes/cake: label=label flavour=cat:lemon,vanilla,cherry,nut calories=int:100-900 cost=real:2-60 -> bakers
bakers/baker: name=label skill=int:1-10 street=cat:Mill,Bridge,Church
music
songs/song: name=label seconds=int:60-900 plays=int:0-900000 mood=cat:sad,happy,calm -> bands
bands/band: name=label formed=int:1960-2020 home=cat:Oslo,Bergen,Malmo,Turku
concerts/concert: hall=label tickets=int:10-90000 held=date -> bands
port
ships/ship: name=label tonnage=int:500-200000 flag=cat:Malta,Panama,Norway,Greece launched=int:1970-2023 -> captains
captains/captain: name=label licence=label years_at_sea=int:1-45
voyages/voyage: cargo=cat:grain,oil,coal,cars duration=int:1-60 sailed=date -> ships
bank
accounts/account: iban=label balance=real:-500-90000 kind=cat:savings,current,joint opened=date -> clients
clients/client: full_name=label income=int:9000-200000 segment=cat:private,business
transfers/transfer: purpose=label amount=real:1-20000 booked=date -> accounts
space
moons/moon: name=label radius=real:5-2700 found_in=int:1610-2020 -> planets
planets/planet: name=label mass=real:0-320 kind=cat:rocky,gas,ice
missions/mission: name=label cost=real:10-9000 agency=cat:ESA,NASA,JAXA -> planets
vet
pets/pet: name=label breed=cat:poodle,beagle,collie weight=real:1-70 born_on=date -> holders
holders/holder: name=label phone=label visits=int:0-50
race
riders/rider: name=label team_colour=cat:green,yellow,pink wins=int:0-60 age=int:18-42 -> sponsors
sponsors/sponsor: name=label money=int:1000-900000 branch=cat:bank,telecom,food
stages/stage: start=label kilometres=real:10-250 climb=int:0-5000 -> riders
kitchen
recipes/recipe: label=label course=cat:starter,main,dessert minutes=int:5-240 servings=int:1-12 -> cooks
cooks/cook: name=label origin=cat:Spain,India,Mexico rating=real:1-10
vineyard
wines/wine: label=label colour=cat:red,white,rose vintage=int:1980-2022 points=int:70-100 -> growers
growers/grower: name=label region=cat:Mosel,Rioja,Douro,Tokaj hectares=real:1-300
metro
lines/line: name=label colour=cat:red,green,blue length=real:3-60 opened=int:1900-2020 -> operators
operators/operator: name=label staff=int:20-9000 owner=cat:public,private
stops/stop: name=label depth=real:0-60 passengers=int:10-90000 -> lines
court
trials/trial: number=label days=int:1-200 outcome=cat:guilty,acquitted,settled began=date -> judges
judges/judge: name=label chamber=cat:civil,criminal,tax appointed=int:1985-2022
forest
trees/tree: tag=label species=cat:oak,beech,pine,larch height=real:1-60 girth=real:0-9 -> rangers
rangers/ranger: name=label sector=cat:north,south,valley salary=int:18000-50000
phones
handsets/handset: model=label storage=int:16-1024 battery=int:2000-6000 cost=real:90-1800 -> makers
makers/maker: name=label revenue=real:1-400 nation=cat:Korea,China,Finland
theatre
plays/play: caption=label acts=int:1-6 tone=cat:tragic,comic,absurd opened=date -> troupes
troupes/troupe: name=label actors=int:3-60 founded=int:1900-2020
lab
samples/sample: tag=label acidity=real:1-14 volume=real:1-500 taken=date -> chemists
chemists/chemist: full_name=label degree=cat:bachelor,master,doctor papers=int:0-200
estate
flats/flat: address=label rent=int:300-4000 surface=int:15-240 heating=cat:gas,oil,electric -> landlords
landlords/landlord: name=label phone=label flats_owned=int:1-60
"""

FIRST = "Ada Bo Cy Dora Emil Fay Gus Hana Ivo Jude Kai Lena Milo Nora Otis Pia Quin Rosa Sven Tess Ugo Vera Wes Yara".split()
LAST = "Abbot Brook Crane Dale Estes Finch Grove Hale Irwin Joyce Kerr Lund Moss Nash Orr Pike Reed Stone Tate Voss".split()
WORDS = "Amber Breeze Comet Delta Ember Falcon Garnet Harbor Indigo Jasper Krypton Lotus Meteor Nimbus Onyx Prism".split()

# Sentences of a kind, each with what is filled in: {s} {p} the thing and the things; {c} a column's words, {n} those of a
# number, {k} of a category; {v} a value; {x} a number; {o} {os} the other thing and things, {oc} its column.
FORMS = {
    "count": ["How many {p} are there?", "Count the {p}.", "Give me the count of {p}.", "How many {p} exist in total?",
              "How many {p} do we have?", "Tell me how many {p} are stored.",
              "Total {p}?", "I want to know how many {p} you have.", "Say how many {p} the database holds."],
    "list": ["List the {c} of all {p}.", "Show the {c} of every {s}.", "Give the {c} of each {s}.",
             "What are the {c} values of the {p}?", "Return {c} for all {p}.",
             "All {c} of the {p}?", "I need the {c} of each of the {p}.", "Can I have the {c} for every {s}?",
             "Tell me the {c} of the {p}."],
    "list2": ["List the {c} and {n} of all {p}.", "Show each {s}'s {c} and {n}.", "Give {c} and {n} for every {s}.",
              "{c} and {n} of the {p}?", "I need {c} plus {n} for each of the {p}."],
    "equal": ["Show the {c} of {p} whose {k} is {v}.", "List the {c} of {p} with {k} {v}.", "Which {p} have {k} {v}? Give the {c}.",
              "Give the {c} of every {s} that has {v} as {k}.", "Find the {c} of the {v} {p}.",
              "{p} whose {k} is {v}: what is their {c}?", "I am looking for {p} with {v} as {k}; give the {c}.",
              "Find {p} where the {k} is {v} and show {c}."],
    "unequal": ["Show the {c} of {p} whose {k} is not {v}.", "List the {c} of {p} with a {k} other than {v}."],
    "over": ["Show the {c} of {p} with a {n} above {x}.", "List the {c} of {p} whose {n} is greater than {x}.",
             "Which {p} have a {n} over {x}? Give the {c}.", "Give the {c} of {p} with {n} more than {x}.",
             "{c} of the {p} having a {n} of more than {x}?", "I am looking for {p} whose {n} exceeds {x}; give the {c}."],
    "under": ["Show the {c} of {p} with a {n} below {x}.", "List the {c} of {p} whose {n} is less than {x}.",
              "Which {p} have a {n} under {x}? Give the {c}.", "Give the {c} of {p} with {n} smaller than {x}.",
              "{c} of the {p} having a {n} of less than {x}?",
              "I am looking for {p} whose {n} stays below {x}; give the {c}."],
    "count_equal": ["How many {p} have {k} {v}?", "Count the {p} whose {k} is {v}.", "How many {v} {p} are there?",
                    "How many {p} with {k} {v} do we have?",
                    "Tell me the count of {p} having {v} as {k}.", "In how many {p} is the {k} {v}?"],
    "count_over": ["How many {p} have a {n} above {x}?", "Count the {p} with {n} greater than {x}.",
                   "How many {p} are there with a {n} over {x}?",
                   "Tell me the count of {p} whose {n} exceeds {x}."],
    "count_under": ["How many {p} have a {n} below {x}?", "Count the {p} with {n} less than {x}.",
                    "Tell me the count of {p} whose {n} is smaller than {x}."],
    "avg": ["What is the average {n} of {p}?", "Give the mean {n} of all {p}.", "Compute the average {n} over all {p}.",
            "What {n} do {p} have on average?",
            "Mean {n} of the {p}?", "Say what the {n} of a {s} is on average.", "How large is the {n} of an average {s}?"],
    "sum": ["What is the total {n} of all {p}?", "Give the sum of {n} over all {p}.", "Add up the {n} of the {p}.",
            "Total {n} of the {p}?", "How much {n} do all {p} have together?", "All {p} together: what {n} is that?"],
    "max": ["What is the highest {n} of any {s}?", "What is the maximum {n} of {p}?", "Give the largest {n} among the {p}.",
            "How large does the {n} of a {s} get?", "Largest {n} of the {p}?"],
    "min": ["What is the lowest {n} of any {s}?", "What is the minimum {n} of {p}?", "Give the smallest {n} among the {p}.",
            "How small can the {n} of a {s} be?", "Smallest {n} of the {p}?"],
    "avg_equal": ["What is the average {n} of {p} whose {k} is {v}?", "Give the mean {n} of {p} with {k} {v}.",
                  "What is the average {n} of {v} {p}?"],
    "sum_equal": ["What is the total {n} of {p} whose {k} is {v}?", "Add up the {n} of {p} with {k} {v}."],
    "most": ["Which {s} has the highest {n}? Give its {c}.", "What is the {c} of the {s} with the largest {n}?",
             "Show the {c} of the {s} with the most {n}.", "Give the {c} of the {s} with the greatest {n}.",
             "What is the {s} with the highest {n} called? Give the {c}.", "{c} of the {s} that has the highest {n}?",
             "Find the {s} with the top {n} and show its {c}."],
    "least": ["Which {s} has the lowest {n}? Give its {c}.", "What is the {c} of the {s} with the smallest {n}?",
              "Give the {c} of the {s} with the least {n}.",
              "{c} of the {s} that has the lowest {n}?", "Find the {s} with the smallest {n} and show its {c}."],
    "top": ["Show the {c} of the {x} {p} with the highest {n}.", "List the top {x} {p} by {n}, with their {c}.",
            "Give the {c} of the {x} {p} that have the largest {n}.",
            "Which {x} {p} have the highest {n}? Give the {c}.", "{c} of the {x} {p} with the greatest {n}?"],
    "bottom": ["Show the {c} of the {x} {p} with the lowest {n}.", "Give the {c} of the {x} {p} that have the smallest {n}."],
    "sorted": ["List the {c} of all {p} ordered by {n}.", "Show the {c} of {p} sorted by {n} in ascending order.",
               "Give the {c} of {p}, lowest {n} first.",
               "{c} of the {p}, sorted by {n}?", "Sort the {p} by {n}, smallest first, and give the {c}."],
    "sorted_down": ["List the {c} of all {p} by descending {n}.", "Show the {c} of {p} sorted by {n} from high to low.",
                    "Give the {c} of {p}, highest {n} first.",
                    "Sort the {p} by {n}, largest first, and give the {c}.", "Order the {p} by falling {n}; show the {c}."],
    "per": ["How many {p} are there for each {k}?", "Count the {p} per {k}.", "For every {k}, how many {p} are there?",
            "Show each {k} with its number of {p}.",
            "Number of {p} per {k}?", "Group the {p} by {k} and count them.", "How are the {p} spread over the {k} values?"],
    "avg_per": ["What is the average {n} of {p} for each {k}?", "Show the mean {n} per {k} of the {p}.",
                "For every {k}, give the average {n} of its {p}.",
                "Mean {n} per {k} of the {p}?", "Group the {p} by {k} and give the average {n}."],
    "sum_per": ["What is the total {n} of {p} for each {k}?", "Add up the {n} of the {p} per {k}.",
                "Total {n} per {k} of the {p}?", "Group the {p} by {k} and add up the {n}."],
    "max_per": ["What is the highest {n} of {p} for each {k}?", "For every {k}, give the largest {n} of its {p}.",
                "Highest {n} per {k} of the {p}?", "Group the {p} by {k} and show the largest {n}."],
    "having": ["Which {k} values have more than {x} {p}?", "List each {k} that more than {x} {p} share.",
               "Show the {k} of more than {x} {p}."],
    "distinct": ["What different {k} values do the {p} have?", "List the distinct {k} of {p}.", "Show every {k} of the {p} once.",
                 "What {k} values occur among the {p}?", "Name the different {k} values of the {p}."],
    "count_distinct": ["How many different {k} values do the {p} have?", "Count the distinct {k} of {p}.",
                       "How many {k} values occur among the {p}?", "Number of different {k} values of the {p}?"],
    "between": ["Show the {c} of {p} with a {n} between {x} and {y}.", "List the {c} of {p} whose {n} lies between {x} and {y}.",
                "Which {p} have a {n} from {x} to {y}? Give the {c}.",
                "{c} of the {p} with a {n} of at least {x} and at most {y}?",
                "I am looking for {p} whose {n} is between {x} and {y}; give the {c}."],
    "begins": ["Show the {c} of {p} whose {c} starts with {l}.", "List the {c} of {p} with a {c} that begins with {l}.",
               "Which {p} have a {c} starting with {l}?", "Find each {c} of the {p} that starts with the letter {l}."],
    "and": ["Show the {c} of {p} with {k} {v} and a {n} above {x}.", "Which {p} whose {k} is {v} have a {n} over {x}? Give the {c}.",
            "List the {c} of {v} {p} with {n} greater than {x}.",
            "I am looking for {p} with {v} as {k} and more than {x} {n}; give the {c}.",
            "{c} of the {p} with {k} {v} whose {n} exceeds {x}?"],
    "or": ["Show the {c} of {p} whose {k} is {v} or {w}.", "List the {c} of {p} with {k} {v} or {w}.",
           "Which {p} have {v} or {w} as {k}? Give the {c}.",
           "I am looking for {p} whose {k} is either {v} or {w}; give the {c}."],
    "count_and": ["How many {p} have {k} {v} and a {n} above {x}?", "Count the {v} {p} with {n} over {x}."],
    "after": ["Show the {c} of {p} {d} after {t}.", "Which {p} were {d} after {t}? Give the {c}.", "List the {c} of {p} {d} since {t}.",
              "{c} of the {p} that were {d} after {t}?"],
    "before": ["Show the {c} of {p} {d} before {t}.", "List the {c} of {p} {d} earlier than {t}."],
    "count_after": ["How many {p} were {d} after {t}?", "Count the {p} {d} since {t}."],
    "newest": ["Which {s} was {d} last? Give its {c}.", "Show the {c} of the {s} that was {d} most recently.",
               "{c} of the {s} that was {d} latest?", "Find the {s} with the latest {d} date and show its {c}."],
    "above_mean": ["Show the {c} of {p} with a {n} above the average.", "Which {p} have more {n} than the average {s}? Give the {c}.",
                   "List the {c} of {p} whose {n} is greater than the mean.",
                   "{c} of the {p} that lie above the mean {n}?",
                   "I am looking for {p} with more {n} than usual, that is, above the average; give the {c}."],
    "join": ["Show the {c} of each {s} and the {oc} of its {o}.", "List the {c} of {p} together with the {oc} of their {o}.",
             "For each {s}, give its {c} and the {oc} of the {o}.",
             "{c} of the {p} and {oc} of their {o}?", "Pair the {c} of each {s} with the {oc} of its {o}."],
    "join_equal": ["Show the {c} of {p} whose {o} has {ok} {v}.", "List the {c} of the {p} of {os} with {ok} {v}.",
                   "Which {p} belong to {os} whose {ok} is {v}? Give the {c}.",
                   "I am looking for {p} whose {o} has {v} as {ok}; give the {c}.",
                   "{c} of the {p} whose {o} has {v} for {ok}?"],
    "join_name": ["Show the {c} of the {p} of {o} {v}.", "List the {c} of {p} whose {o} is {v}.", "Which {p} belong to {v}? Give the {c}.",
                  "{c} of the {p} that belong to {v}?", "Which {p} are those of the {o} {v}? Give the {c}.",
                  "What {p} does {v} have? Give the {c}.", "Find the {p} of {v} and show their {c}."],
    "join_over": ["Show the {c} of {p} whose {o} has a {on} above {x}.", "List the {c} of {p} of {os} with {on} greater than {x}."],
    "join_count": ["How many {p} does each {o} have?", "Count the {p} of every {o}.", "For each {o}, give its {oc} and the number of {p}.",
                   "Show the {oc} of every {o} with the number of its {p}.",
                   "Number of {p} per {o}? Give the {oc} too.",
                   "Count how many {p} belong to every {o} and show its {oc}.",
                   "For all {os}, tell the {oc} and how many {p} they have."],
    "join_count_name": ["How many {p} does {o} {v} have?", "Count the {p} of {v}.", "How many {p} belong to {v}?",
                        "What number of {p} does {v} have?", "Tell me the count of {p} that {v} has."],
    "join_avg": ["What is the average {n} of the {p} of each {o}?", "For each {o}, give its {oc} and the mean {n} of its {p}.",
                 "Mean {n} of the {p} per {o}? Give the {oc} too.",
                 "What {n} do the {p} of every {o} have on average? Show its {oc}."],
    "join_sum": ["What is the total {n} of the {p} of each {o}?", "For each {o}, give its {oc} and the sum of {n} of its {p}.",
                 "Total {n} of the {p} per {o}? Give the {oc} too.",
                 "How much {n} do the {p} of every {o} have together? Show its {oc}."],
    "join_most": ["Which {o} has the most {p}? Give its {oc}.", "Show the {oc} of the {o} with the largest number of {p}.",
                  "{oc} of the {o} having the most {p}?", "Find the {o} with more {p} than any other and show its {oc}."],
    "join_having": ["Which {os} have more than {x} {p}? Give the {oc}.", "List the {oc} of {os} with over {x} {p}."],
    "without": ["Which {os} have no {p}? Give the {oc}.", "List the {oc} of {os} without any {p}.",
                "{oc} of the {os} that have no {p}?", "Find the {os} to which no {p} belong and show their {oc}.",
                "For which {os} are there no {p}? Give the {oc}."],
    "join_avg_name": ["What is the average {n} of the {p} of {o} {v}?", "Give the mean {n} of the {p} of {v}.",
                      "What {n} do the {p} of {v} have on average?"],
}


class Column:
    def __init__(self, text):
        self.name, rest = text.split("=")
        self.kind, _, self.values = rest.partition(":")
        self.words = self.name.replace("_", " ")
        self.type = {"label": "text", "cat": "text", "int": "integer", "real": "real", "date": "date"}[self.kind]


class Table:
    def __init__(self, line):
        head, rest = line.split(": ", 1)
        self.plural, self.singular = head.split("/")
        columns, _, others = rest.partition(" -> ")
        self.columns, self.others = [Column(c) for c in columns.split()], others.split()


def domains():
    found = []
    for line in DOMAINS.strip().splitlines():
        if ": " in line:
            found[-1].append(Table(line))
        else:
            found.append([])
    return found


class Schema:
    """Some columns of the tables of a domain, under names of one habit."""

    def __init__(self, rng, tables):
        kept = [t for t in tables if len(tables) < 3 or rng.random() < 0.75] or tables[:1]
        names = {t.plural for t in kept}
        kept += [t for t in tables if t.plural in {o for k in kept for o in k.others} - names]
        rng.shuffle(kept)
        self.tables, self.rng = kept, rng
        self.own_key = rng.random() < 0.4  # animal_id rather than id
        self.one = rng.random() < 0.2      # table names in the singular
        self.columns = {}
        for t in kept:
            columns = [c for c in t.columns if c.kind in ("label", "cat") and c is t.columns[0] or rng.random() < 0.85]
            if t.columns[0] not in columns:
                columns.insert(0, t.columns[0])
            tail = columns[1:]
            rng.shuffle(tail)
            self.columns[t.plural] = [columns[0]] + tail

    def name(self, t):
        return t.singular if self.one else t.plural

    def key(self, t):
        return t.singular + "_id" if self.own_key else "id"

    def other(self, t):
        """The table that t refers to, and the column that does."""
        for o in t.others:
            for k in self.tables:
                if k.plural == o:
                    return k, k.singular + "_id"
        return None, None

    def of_kind(self, t, *kinds):
        return [c for c in self.columns[t.plural] if c.kind in kinds]

    def message(self, question):
        """As src/sql/prompts.cc writes it."""
        lines = []
        for t in self.tables:
            other, link = self.other(t)
            columns = [f"{self.key(t)} integer primary key"] + [f"{c.name} {c.type}" for c in self.columns[t.plural]]
            if other:
                columns.append(f"{link} integer references {self.name(other)}({self.key(other)})")
            lines.append(f"{self.name(t)}({', '.join(columns)})")
        return ("Tables of a SQLite database:\n" + "\n".join(lines) +
                "\nWrite one SELECT statement that answers the question.\nQuestion: " + question)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def label_value(rng, column):
    if column.words in ("full name", "name", "guest") and rng.random() < 0.7:
        return f"{rng.choice(FIRST)} {rng.choice(LAST)}"
    return rng.choice(WORDS) + rng.choice(["", "", " " + rng.choice(WORDS), f" {rng.randint(2, 90)}"])


def number(rng, column):
    low, high = re.fullmatch(r"(-?\d+)-(\d+)", column.values).groups()
    x = rng.uniform(int(low) + (int(high) - int(low)) * 0.1, int(high) * 0.9)
    if column.kind == "int":
        return str(int(x) if x < 100 or rng.random() < 0.2 else round(int(x), -len(str(int(x))) + 2))
    return f"{x:.1f}".rstrip("0").rstrip(".") if rng.random() < 0.5 else str(int(x))


def passive(column):
    """A date's name as a participle: "done on" becomes "done"."""
    return {"signed_up": "signed up", "done_on": "done", "played_on": "played", "born_on": "born"}.get(column.name, column.name)


def example(schema, kind):
    """(question, statement), or nothing where the schema has not what the kind needs."""
    rng = schema.rng
    t = rng.choice(schema.tables)
    T = schema.name(t)
    label = schema.columns[t.plural][0]
    labels, numbers, cats, dates = (schema.of_kind(t, *k) for k in (("label", "cat"), ("int", "real"), ("cat",), ("date",)))
    n, k, d = (rng.choice(c) if c else None for c in (numbers, cats, dates))
    c = label if rng.random() < 0.7 else rng.choice(labels)
    v = rng.choice(k.values.split(",")) if k else None
    x = number(rng, n) if n else None
    o, link = schema.other(t)
    date = f"{rng.randint(1995, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    slots = dict(s=t.singular, p=t.plural, c=c.words, n=n and n.words, k=k and k.words, v=v, x=x, t=date,
                 d=d and passive(d))
    eq = k and f"{k.name} = {literal(v)}"
    if any("{%s}" % slot in FORMS[kind][0] and slots[slot] is None for slot in ("n", "k", "d")):
        return None
    if kind in ("avg_equal", "sum_equal", "and", "count_and") and not (n and k):
        return None
    if kind == "or":
        others = [w for w in k.values.split(",") if w != v]
        slots["w"] = rng.choice(others)
        eq = rng.choice([f"{eq} OR {k.name} = {literal(slots['w'])}", f"{k.name} IN ({literal(v)}, {literal(slots['w'])})"])
    if kind == "between":
        low, high = sorted((float(x), float(number(rng, n))))
        slots["x"], slots["y"] = f"{low:g}" if low < 1e6 else str(int(low)), f"{high:g}" if high < 1e6 else str(int(high))
        if "e" in slots["x"] + slots["y"]:
            return None
    if kind in ("top", "bottom"):
        slots["x"] = str(rng.randint(2, 10))
    if kind in ("having", "join_having"):
        slots["x"] = str(rng.randint(1, 8))
    if kind == "begins":
        c, slots["c"], slots["l"] = label, label.words, rng.choice("ABCDEFGHKLMNPRST")
    joined = kind.startswith("join") or kind == "without"
    if joined:
        if not o:
            return None
        O, oc = schema.name(o), schema.columns[o.plural][0]
        slots.update(o=o.singular, os=o.plural, oc=oc.words)
        from_both = f"FROM {T} JOIN {O} ON {T}.{link} = {O}.{schema.key(o)}"
        ocs, ons = schema.of_kind(o, "cat"), schema.of_kind(o, "int", "real")
        if kind == "join_equal":
            if not ocs:
                return None
            ok = rng.choice(ocs)
            slots.update(ok=ok.words, v=rng.choice(ok.values.split(",")))
            eq = f"{O}.{ok.name} = {literal(slots['v'])}"
        if kind in ("join_name", "join_count_name", "join_avg_name"):
            slots["v"] = label_value(rng, oc)
            eq = f"{O}.{oc.name} = {literal(slots['v'])}"
        if kind == "join_over":
            if not ons:
                return None
            on = rng.choice(ons)
            slots.update(on=on.words, x=number(rng, on))
    C, N, K, D = c.name, n and n.name, k and k.name, d and d.name
    L = label.name
    statement = {
        "count": lambda: f"SELECT COUNT(*) FROM {T}",
        "list": lambda: f"SELECT {C} FROM {T}",
        "list2": lambda: f"SELECT {C}, {N} FROM {T}",
        "equal": lambda: f"SELECT {C} FROM {T} WHERE {eq}",
        "unequal": lambda: f"SELECT {C} FROM {T} WHERE {K} <> {literal(v)}",
        "over": lambda: f"SELECT {C} FROM {T} WHERE {N} > {x}",
        "under": lambda: f"SELECT {C} FROM {T} WHERE {N} < {x}",
        "count_equal": lambda: f"SELECT COUNT(*) FROM {T} WHERE {eq}",
        "count_over": lambda: f"SELECT COUNT(*) FROM {T} WHERE {N} > {x}",
        "count_under": lambda: f"SELECT COUNT(*) FROM {T} WHERE {N} < {x}",
        "avg": lambda: f"SELECT AVG({N}) FROM {T}",
        "sum": lambda: f"SELECT SUM({N}) FROM {T}",
        "max": lambda: f"SELECT MAX({N}) FROM {T}",
        "min": lambda: f"SELECT MIN({N}) FROM {T}",
        "avg_equal": lambda: f"SELECT AVG({N}) FROM {T} WHERE {eq}",
        "sum_equal": lambda: f"SELECT SUM({N}) FROM {T} WHERE {eq}",
        "most": lambda: f"SELECT {C} FROM {T} ORDER BY {N} DESC LIMIT 1",
        "least": lambda: f"SELECT {C} FROM {T} ORDER BY {N} LIMIT 1",
        "top": lambda: f"SELECT {C} FROM {T} ORDER BY {N} DESC LIMIT {slots['x']}",
        "bottom": lambda: f"SELECT {C} FROM {T} ORDER BY {N} LIMIT {slots['x']}",
        "sorted": lambda: f"SELECT {C} FROM {T} ORDER BY {N}",
        "sorted_down": lambda: f"SELECT {C} FROM {T} ORDER BY {N} DESC",
        "per": lambda: f"SELECT {K}, COUNT(*) FROM {T} GROUP BY {K}",
        "avg_per": lambda: f"SELECT {K}, AVG({N}) FROM {T} GROUP BY {K}",
        "sum_per": lambda: f"SELECT {K}, SUM({N}) FROM {T} GROUP BY {K}",
        "max_per": lambda: f"SELECT {K}, MAX({N}) FROM {T} GROUP BY {K}",
        "having": lambda: f"SELECT {K} FROM {T} GROUP BY {K} HAVING COUNT(*) > {slots['x']}",
        "distinct": lambda: f"SELECT DISTINCT {K} FROM {T}",
        "count_distinct": lambda: f"SELECT COUNT(DISTINCT {K}) FROM {T}",
        "between": lambda: f"SELECT {C} FROM {T} WHERE {N} BETWEEN {slots['x']} AND {slots['y']}",
        "begins": lambda: f"SELECT {C} FROM {T} WHERE {C} LIKE '{slots['l']}%'",
        "and": lambda: f"SELECT {C} FROM {T} WHERE {eq} AND {N} > {x}",
        "or": lambda: f"SELECT {C} FROM {T} WHERE {eq}",
        "count_and": lambda: f"SELECT COUNT(*) FROM {T} WHERE {eq} AND {N} > {x}",
        "after": lambda: f"SELECT {C} FROM {T} WHERE {D} > '{date}'",
        "before": lambda: f"SELECT {C} FROM {T} WHERE {D} < '{date}'",
        "count_after": lambda: f"SELECT COUNT(*) FROM {T} WHERE {D} > '{date}'",
        "newest": lambda: f"SELECT {C} FROM {T} ORDER BY {D} DESC LIMIT 1",
        "above_mean": lambda: f"SELECT {C} FROM {T} WHERE {N} > (SELECT AVG({N}) FROM {T})",
        "join": lambda: f"SELECT {T}.{C}, {O}.{oc.name} {from_both}",
        "join_equal": lambda: f"SELECT {T}.{C} {from_both} WHERE {eq}",
        "join_name": lambda: f"SELECT {T}.{C} {from_both} WHERE {eq}",
        "join_over": lambda: f"SELECT {T}.{C} {from_both} WHERE {O}.{on.name} > {slots['x']}",
        "join_count": lambda: f"SELECT {O}.{oc.name}, COUNT(*) {from_both} GROUP BY {O}.{oc.name}",
        "join_count_name": lambda: f"SELECT COUNT(*) {from_both} WHERE {eq}",
        "join_avg": lambda: f"SELECT {O}.{oc.name}, AVG({T}.{N}) {from_both} GROUP BY {O}.{oc.name}",
        "join_sum": lambda: f"SELECT {O}.{oc.name}, SUM({T}.{N}) {from_both} GROUP BY {O}.{oc.name}",
        "join_most": lambda: f"SELECT {O}.{oc.name} {from_both} GROUP BY {O}.{oc.name} ORDER BY COUNT(*) DESC LIMIT 1",
        "join_having": lambda: f"SELECT {O}.{oc.name} {from_both} GROUP BY {O}.{oc.name} HAVING COUNT(*) > {slots['x']}",
        "without": lambda: f"SELECT {oc.name} FROM {O} WHERE {schema.key(o)} NOT IN (SELECT {link} FROM {T})",
        "join_avg_name": lambda: f"SELECT AVG({T}.{N}) {from_both} WHERE {eq}",
    }[kind]()
    question = rng.choice(FORMS[kind]).format(**slots)
    return question, statement + ";"


def record(rng, all_domains, turns):
    schema = Schema(rng, rng.choice(all_domains))
    pairs = []
    while len(pairs) < turns:
        made = example(schema, rng.choice(list(FORMS)))
        if made and made not in pairs:
            pairs.append(made)
    messages = []
    for question, statement in pairs:
        messages.append({"role": "user", "content": schema.message(question) if not messages else "Question: " + question})
        messages.append({"role": "assistant", "content": statement})
    return {"messages": messages}, schema, pairs


def check_statements(schema, pairs):
    """SQLite must accept every statement."""
    db = sqlite3.connect(":memory:")
    for t in schema.tables:
        other, link = schema.other(t)
        columns = [schema.key(t)] + [c.name for c in schema.columns[t.plural]] + ([link] if other else [])
        db.execute(f"CREATE TABLE {schema.name(t)} ({', '.join(columns)})")
    for _, statement in pairs:
        db.execute(statement)


def check_apart():
    """Training and test share no table, no column but id and name, no value, and no sentence."""
    tables = {n for d in domains() for t in d for n in (t.plural, t.singular)}
    columns = {c.name for d in domains() for t in d for c in t.columns} | {
        t.singular + "_id" for d in domains() for t in d}
    values = {v for d in domains() for t in d for c in t.columns if c.kind == "cat" for v in c.values.split(",")}
    values |= {f"{f} {l}" for f in FIRST for l in LAST}
    forms = [re.compile("".join(".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", form)))
             for group in FORMS.values() for form in group]
    for name, test in sql_test_data.DATABASES.items():
        db = sqlite3.connect(":memory:")
        db.executescript(test["schema"])
        sql_test_data.fill(name, db)
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            assert table not in tables and table.rstrip("s") not in tables, table
            for column in db.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall():
                assert column[0] in ("id", "name") or column[0] not in columns, (table, column[0])
                held = {row[0] for row in db.execute(f'SELECT DISTINCT "{column[0]}" FROM {table}')}
                assert not held & values, (table, column[0], held & values)
        for question, statement in test["questions"]:
            assert not any(form.fullmatch(question) for form in forms), question
            rows = db.execute(statement).fetchall()
            assert rows and any(value not in (None, 0) for row in rows for value in row), (question, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--records", type=int, default=6000)
    parser.add_argument("--turns", type=int, default=4, help="questions about one schema")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    check_apart()
    o.out.mkdir(parents=True, exist_ok=True)
    rng, known = random.Random(o.seed), domains()
    with open(o.out / "train.jsonl", "w") as file:
        for _ in range(o.records):
            made, schema, pairs = record(rng, known, o.turns)
            check_statements(schema, pairs)
            print(json.dumps(made), file=file)
    count = 0
    for name, test in sql_test_data.DATABASES.items():
        path = o.out / f"{name}.db"
        path.unlink(missing_ok=True)
        db = sqlite3.connect(path)
        db.executescript(test["schema"])
        sql_test_data.fill(name, db)
        db.commit()
        with open(o.out / f"{name}.jsonl", "w") as file:
            for question, statement in test["questions"]:
                print(json.dumps({"question": question, "sql": statement}), file=file)
                count += 1
    print(f"{o.records} records of {o.turns} questions to train on, {count} questions over "
          f"{len(sql_test_data.DATABASES)} databases to test on: {o.out}")


if __name__ == "__main__":
    main()
