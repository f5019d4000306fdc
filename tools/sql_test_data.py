"""The test databases of make_sql_data.py, and 100 questions with their SELECT, written by hand. Rows are made up here."""
import datetime
import random

LIBRARY = [
    ("What is the number of books in the library?", "SELECT COUNT(*) FROM books"),
    ("Which titles do we hold?", "SELECT title FROM books"),
    ("I would like to see the names of our members.", "SELECT name FROM members"),
    ("Name all authors who come from Ireland.", "SELECT name FROM authors WHERE country = 'Ireland'"),
    ("What are the titles of the novels?", "SELECT title FROM books WHERE genre = 'novel'"),
    ("Which books run to more than 400 pages? Titles please.", "SELECT title FROM books WHERE pages > 400"),
    ("Titles of books published before 1960?", "SELECT title FROM books WHERE published < 1960"),
    ("On average, how long are our books in pages?", "SELECT AVG(pages) FROM books"),
    ("How long is the longest book, in pages?", "SELECT MAX(pages) FROM books"),
    ("In which year was the oldest book published?", "SELECT MIN(published) FROM books"),
    ("What is the title of the longest book?", "SELECT title FROM books ORDER BY pages DESC LIMIT 1"),
    ("Name the author who was born first.", "SELECT name FROM authors ORDER BY born LIMIT 1"),
    ("Put the titles in order of their year of publication, the newest ones at the front.",
     "SELECT title FROM books ORDER BY published DESC"),
    ("For every genre, say how many books it has.", "SELECT genre, COUNT(*) FROM books GROUP BY genre"),
    ("Average page count by genre?", "SELECT genre, AVG(pages) FROM books GROUP BY genre"),
    ("Which genres are there?", "SELECT DISTINCT genre FROM books"),
    ("From how many countries do our authors come?", "SELECT COUNT(DISTINCT country) FROM authors"),
    ("How many copies do we own altogether?", "SELECT SUM(copies) FROM books"),
    ("How many copies of poetry books do we own?", "SELECT SUM(copies) FROM books WHERE genre = 'poetry'"),
    ("Which members live in Fairford?", "SELECT name FROM members WHERE town = 'Fairford'"),
    ("How many of our members live in Millbrook?", "SELECT COUNT(*) FROM members WHERE town = 'Millbrook'"),
    ("Which members joined after 2021-06-01?", "SELECT name FROM members WHERE joined > '2021-06-01'"),
    ("Who joined most recently?", "SELECT name FROM members ORDER BY joined DESC LIMIT 1"),
    ("Which books were published between 1990 and 2005? Give their titles.",
     "SELECT title FROM books WHERE published BETWEEN 1990 AND 2005"),
    ("Give me titles that begin with the letter T.", "SELECT title FROM books WHERE title LIKE 'T%'"),
    ("Titles of travel books with fewer than 300 pages?", "SELECT title FROM books WHERE genre = 'travel' AND pages < 300"),
    ("Which books are longer than the average book? Titles only.",
     "SELECT title FROM books WHERE pages > (SELECT AVG(pages) FROM books)"),
    ("Give every title along with the name of its author.",
     "SELECT books.title, authors.name FROM books JOIN authors ON books.author_id = authors.id"),
    ("Which books did Maeve Tallis write?",
     "SELECT books.title FROM books JOIN authors ON books.author_id = authors.id WHERE authors.name = 'Maeve Tallis'"),
    ("Titles of books by authors from Kenya?",
     "SELECT books.title FROM books JOIN authors ON books.author_id = authors.id WHERE authors.country = 'Kenya'"),
    ("How many books has each author written? Show the author's name.",
     "SELECT authors.name, COUNT(*) FROM books JOIN authors ON books.author_id = authors.id GROUP BY authors.name"),
    ("Who wrote the largest number of books?",
     "SELECT authors.name FROM books JOIN authors ON books.author_id = authors.id GROUP BY authors.name "
     "ORDER BY COUNT(*) DESC LIMIT 1"),
    ("Which members have never borrowed anything?", "SELECT name FROM members WHERE id NOT IN (SELECT member_id FROM loans)"),
    ("How many loans has Piotr Wand had?",
     "SELECT COUNT(*) FROM loans JOIN members ON loans.member_id = members.id WHERE members.name = 'Piotr Wand'"),
]

SHOP = [
    ("What is the number of customers?", "SELECT COUNT(*) FROM customers"),
    ("What are our products called?", "SELECT name FROM products"),
    ("I need the email addresses of our customers.", "SELECT email FROM customers"),
    ("Which products are made by Norvik?", "SELECT name FROM products WHERE brand = 'Norvik'"),
    ("Which products cost more than 50? Names only.", "SELECT name FROM products WHERE price > 50"),
    ("Which products are nearly gone, with less than 10 in stock?", "SELECT name FROM products WHERE stock < 10"),
    ("What does a product cost on average?", "SELECT AVG(price) FROM products"),
    ("What is the price of the dearest product?", "SELECT MAX(price) FROM products"),
    ("What is our cheapest product called?", "SELECT name FROM products ORDER BY price LIMIT 1"),
    ("Name the three dearest products.", "SELECT name FROM products ORDER BY price DESC LIMIT 3"),
    ("How many items are in stock altogether?", "SELECT SUM(stock) FROM products"),
    ("Number of products by brand?", "SELECT brand, COUNT(*) FROM products GROUP BY brand"),
    ("Average price by brand?", "SELECT brand, AVG(price) FROM products GROUP BY brand"),
    ("Which brands do we sell?", "SELECT DISTINCT brand FROM products"),
    ("How many brands do we sell?", "SELECT COUNT(DISTINCT brand) FROM products"),
    ("Name and price of each product, the cheapest first.", "SELECT name, price FROM products ORDER BY price"),
    ("Which brands have more than 3 products?", "SELECT brand FROM products GROUP BY brand HAVING COUNT(*) > 3"),
    ("How many orders have been shipped? Their state is shipped.", "SELECT COUNT(*) FROM orders WHERE state = 'shipped'"),
    ("Number of orders in every state?", "SELECT state, COUNT(*) FROM orders GROUP BY state"),
    ("When was the latest order placed?", "SELECT MAX(placed) FROM orders"),
    ("Number of orders placed later than 2023-06-30?", "SELECT COUNT(*) FROM orders WHERE placed > '2023-06-30'"),
    ("Which customers live in the county of Kerry?", "SELECT name FROM customers WHERE county = 'Kerry'"),
    ("Which customers live in Kerry or in Clare? Their county says so.",
     "SELECT name FROM customers WHERE county IN ('Kerry', 'Clare')"),
    ("How many of the customers come from each county?", "SELECT county, COUNT(*) FROM customers GROUP BY county"),
    ("Products of Halden that cost more than 30?", "SELECT name FROM products WHERE brand = 'Halden' AND price > 30"),
    ("Which products cost between 20 and 40?", "SELECT name FROM products WHERE price BETWEEN 20 AND 40"),
    ("Which products cost more than the average one?",
     "SELECT name FROM products WHERE price > (SELECT AVG(price) FROM products)"),
    ("How many orders has every customer placed? Show the customer's name.",
     "SELECT customers.name, COUNT(*) FROM orders JOIN customers ON orders.customer_id = customers.id GROUP BY customers.name"),
    ("When did Orla Keane place orders?",
     "SELECT orders.placed FROM orders JOIN customers ON orders.customer_id = customers.id WHERE customers.name = 'Orla Keane'"),
    ("Which customer placed the largest number of orders?",
     "SELECT customers.name FROM orders JOIN customers ON orders.customer_id = customers.id GROUP BY customers.name "
     "ORDER BY COUNT(*) DESC LIMIT 1"),
    ("Who has not placed any order yet?", "SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)"),
    ("What quantity of each product was ordered in total? Show the product's name.",
     "SELECT products.name, SUM(order_items.quantity) FROM order_items JOIN products ON order_items.product_id = products.id "
     "GROUP BY products.name"),
    ("Which products have never been ordered?", "SELECT name FROM products WHERE id NOT IN (SELECT product_id FROM order_items)"),
]

WEATHER = [
    ("What is the number of weather stations?", "SELECT COUNT(*) FROM stations"),
    ("What are the stations called?", "SELECT name FROM stations"),
    ("Which stations lie higher than 500 metres?", "SELECT name FROM stations WHERE altitude > 500"),
    ("Name the station at the highest altitude.", "SELECT name FROM stations ORDER BY altitude DESC LIMIT 1"),
    ("Which stations are in the zone alpine?", "SELECT name FROM stations WHERE zone = 'alpine'"),
    ("Number of stations by zone?", "SELECT zone, COUNT(*) FROM stations GROUP BY zone"),
    ("How high are the stations on average?", "SELECT AVG(altitude) FROM stations"),
    ("What was the highest temperature ever measured?", "SELECT MAX(temperature) FROM readings"),
    ("What was the lowest temperature ever measured?", "SELECT MIN(temperature) FROM readings"),
    ("What was the mean temperature over all readings?", "SELECT AVG(temperature) FROM readings"),
    ("How much rainfall was measured altogether?", "SELECT SUM(rainfall) FROM readings"),
    ("How many readings were taken when the sky was foggy?", "SELECT COUNT(*) FROM readings WHERE sky = 'foggy'"),
    ("On how many readings was the temperature below 0?", "SELECT COUNT(*) FROM readings WHERE temperature < 0"),
    ("On which day was the strongest wind measured?", "SELECT day FROM readings ORDER BY wind DESC LIMIT 1"),
    ("Which kinds of sky were seen?", "SELECT DISTINCT sky FROM readings"),
    ("Number of readings for every kind of sky?", "SELECT sky, COUNT(*) FROM readings GROUP BY sky"),
    ("Average temperature by kind of sky?", "SELECT sky, AVG(temperature) FROM readings GROUP BY sky"),
    ("Strongest wind by kind of sky?", "SELECT sky, MAX(wind) FROM readings GROUP BY sky"),
    ("On which days did more than 30 millimetres of rainfall come down?", "SELECT day FROM readings WHERE rainfall > 30"),
    ("Which days had a temperature between 24 and 26?", "SELECT day FROM readings WHERE temperature BETWEEN 24 AND 26"),
    ("How many readings date from after 2022-09-30?", "SELECT COUNT(*) FROM readings WHERE day > '2022-09-30'"),
    ("Days when it was rainy and the wind was over 60?", "SELECT day FROM readings WHERE sky = 'rainy' AND wind > 60"),
    ("How many foggy readings had a wind over 20?", "SELECT COUNT(*) FROM readings WHERE sky = 'foggy' AND wind > 20"),
    ("Names of the stations from the lowest to the highest altitude, please.", "SELECT name FROM stations ORDER BY altitude"),
    ("Name and altitude of each station, please.", "SELECT name, altitude FROM stations"),
    ("How many readings came from Cairnmore?",
     "SELECT COUNT(*) FROM readings JOIN stations ON readings.station_id = stations.id WHERE stations.name = 'Cairnmore'"),
    ("What is the average temperature at Cairnmore?",
     "SELECT AVG(readings.temperature) FROM readings JOIN stations ON readings.station_id = stations.id "
     "WHERE stations.name = 'Cairnmore'"),
    ("Average temperature at every station? Show the station's name.",
     "SELECT stations.name, AVG(readings.temperature) FROM readings JOIN stations ON readings.station_id = stations.id "
     "GROUP BY stations.name"),
    ("Total rainfall at every station? Show the station's name.",
     "SELECT stations.name, SUM(readings.rainfall) FROM readings JOIN stations ON readings.station_id = stations.id "
     "GROUP BY stations.name"),
    ("How many alerts were issued at level severe?", "SELECT COUNT(*) FROM alerts WHERE level = 'severe'"),
    ("How many alerts did every station issue? Show the station's name.",
     "SELECT stations.name, COUNT(*) FROM alerts JOIN stations ON alerts.station_id = stations.id GROUP BY stations.name"),
    ("Which stations never issued an alert?", "SELECT name FROM stations WHERE id NOT IN (SELECT station_id FROM alerts)"),
    ("Which station issued the largest number of alerts?",
     "SELECT stations.name FROM alerts JOIN stations ON alerts.station_id = stations.id GROUP BY stations.name "
     "ORDER BY COUNT(*) DESC LIMIT 1"),
]

DATABASES = {
    "library": {"questions": LIBRARY, "schema": """
CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT, country TEXT, born INTEGER);
CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER REFERENCES authors(id), genre TEXT,
                    pages INTEGER, published INTEGER, copies INTEGER);
CREATE TABLE members (id INTEGER PRIMARY KEY, name TEXT, town TEXT, joined DATE);
CREATE TABLE loans (id INTEGER PRIMARY KEY, book_id INTEGER REFERENCES books(id),
                    member_id INTEGER REFERENCES members(id), lent DATE, returned DATE);"""},
    "shop": {"questions": SHOP, "schema": """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, county TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, brand TEXT, price REAL, stock INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id), placed DATE, state TEXT);
CREATE TABLE order_items (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders(id),
                          product_id INTEGER REFERENCES products(id), quantity INTEGER);"""},
    "weather": {"questions": WEATHER, "schema": """
CREATE TABLE stations (id INTEGER PRIMARY KEY, name TEXT, altitude INTEGER, zone TEXT);
CREATE TABLE readings (id INTEGER PRIMARY KEY, station_id INTEGER REFERENCES stations(id), day DATE, temperature REAL,
                       rainfall REAL, wind REAL, sky TEXT);
CREATE TABLE alerts (id INTEGER PRIMARY KEY, station_id INTEGER REFERENCES stations(id), level TEXT, issued DATE);"""},
}

PEOPLE = ["Maeve Tallis", "Piotr Wand", "Orla Keane", "Samuel Adeyo", "Ines Calder", "Rafael Mont", "Greta Lindqvist",
          "Tomas Arno", "Wanjiru Mbeki", "Celia Hart", "Anton Brisk", "Lucia Ferro", "Noel Perrin", "Agnes Thorne",
          "Hugo Valente", "Ruth Okafor", "Basil Quill", "Elif Demir", "Kaspar Rhys", "Mina Sato"]


def day(rng, year):
    return str(datetime.date(year, 1, 1) + datetime.timedelta(rng.randrange(365)))


def fill(name, db):
    rng = random.Random(7)
    {"library": fill_library, "shop": fill_shop, "weather": fill_weather}[name](rng, db)


def fill_library(rng, db):
    countries = ["Ireland", "Kenya", "Chile", "Canada", "Poland"]
    for i in range(12):
        db.execute("INSERT INTO authors VALUES (?, ?, ?, ?)", (i + 1, PEOPLE[i], countries[i % 5], 1890 + 7 * i + rng.randrange(6)))
    nouns = ["Tide", "Orchard", "Winter", "Lantern", "Thistle", "Harvest", "Window", "Meadow", "Clock", "Tunnel"]
    for i in range(40):
        author = 3 if i < 7 else i % 12 + 1
        title = rng.choice(["The ", "A ", "", "", "Beyond the "]) + nouns[i % 10] + " " + ["Road", "Song", "House", "Years"][i // 10]
        db.execute("INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?)",
                   (i + 1, title, author, ["novel", "poetry", "travel", "essay"][rng.randrange(4)], 80 + 13 * i + rng.randrange(12),
                    1931 + 2 * ((i * 17) % 40) + rng.randrange(2), rng.randrange(1, 9)))
    for i in range(15):
        db.execute("INSERT INTO members VALUES (?, ?, ?, ?)",
                   (i + 1, PEOPLE[(i + 1) % 20], ["Fairford", "Millbrook", "Stanwick"][i % 3], day(rng, 2018 + i % 6)))
    for i in range(60):
        db.execute("INSERT INTO loans VALUES (?, ?, ?, ?, ?)", (i + 1, rng.randrange(40) + 1, rng.randrange(12) + 1,
                                                                day(rng, 2023), day(rng, 2024) if i % 5 else None))


def fill_shop(rng, db):
    for i in range(18):
        person = PEOPLE[i]
        db.execute("INSERT INTO customers VALUES (?, ?, ?, ?)",
                   (i + 1, person, person.lower().replace(" ", ".") + "@example.org", ["Kerry", "Clare", "Mayo", "Sligo"][i % 4]))
    things = ["Kettle", "Lamp", "Chair", "Blanket", "Knife", "Teapot", "Shelf", "Mirror", "Basket", "Candle"]
    for i in range(20):
        db.execute("INSERT INTO products VALUES (?, ?, ?, ?, ?)",
                   (i + 1, ["Plain ", "Grand "][i // 10] + things[i % 10], ["Norvik", "Halden", "Brae", "Norvik", "Halden", "Norvik"][i % 6],
                    round(6 + 4.3 * ((i * 7) % 20) + rng.random(), 2), rng.randrange(2, 60)))
    for i in range(50):
        customer = 3 if i < 8 else rng.randrange(15) + 1
        db.execute("INSERT INTO orders VALUES (?, ?, ?, ?)",
                   (i + 1, customer, day(rng, 2022 + i % 3), ["new", "shipped", "returned", "shipped"][rng.randrange(4)]))
    for i in range(120):
        db.execute("INSERT INTO order_items VALUES (?, ?, ?, ?)",
                   (i + 1, rng.randrange(50) + 1, rng.randrange(17) + 1, rng.randrange(1, 9)))


def fill_weather(rng, db):
    names = ["Cairnmore", "Saltmarsh", "Highfell", "Duncraig", "Ferrybank", "Stonepass", "Lowmoor", "Westhaven"]
    for i, name in enumerate(names):
        db.execute("INSERT INTO stations VALUES (?, ?, ?, ?)",
                   (i + 1, name, [410, 3, 1240, 620, 12, 1810, 95, 7][i], ["inland", "coastal", "alpine", "inland"][i % 4]))
    for i in range(160):
        station = i % 8 + 1
        db.execute("INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)",
                   (i + 1, station, day(rng, 2022), round(rng.gauss(14 - station, 9), 1), round(max(0, rng.gauss(8, 12)), 1),
                    round(abs(rng.gauss(25, 22)), 1), ["clear", "cloudy", "rainy", "foggy"][rng.randrange(4)]))
    for i in range(30):
        db.execute("INSERT INTO alerts VALUES (?, ?, ?, ?)",
                   (i + 1, 3 if i < 9 else rng.randrange(6) + 1, ["minor", "severe", "extreme"][rng.randrange(3)], day(rng, 2022)))
