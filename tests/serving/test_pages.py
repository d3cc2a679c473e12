"""The service's pages: what they may load and run, and that they are there without internet."""


def test_the_page_asks_nobody_else(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert page.headers["content-type"].startswith("text/html")
    assert "'sha256-" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "default-src 'none'" in policy
    assert not [
        word
        for word in ("https://", "http:", "//cdn", "innerHTML")
        if word in page.text.replace("http://www.w3.org/2000/svg", "")
    ]


def test_the_page_has_one_script_which_its_policy_names(client):
    assert client.get("/").text.count("<script") == 1


def test_the_docs_say_how_to_ask_before_swagger_is_there(client):
    docs = client.get("/docs")
    assert docs.headers["content-type"].startswith("text/html")
    assert "curl -F image=@car.jpg" in docs.text
    assert "innerHTML" not in docs.text
