// A page that a mailed link leads to: sends the link's token, and what the form asks for, to the API.
"use strict";

const form = document.querySelector("form");
const status = document.querySelector("[role=status]");
// Behind the `#`, where no server and no log sees it.
const token = new URLSearchParams(location.hash.slice(1)).get("token");

// Until it is used it has no business in the history or on a screen.
history.replaceState(null, "", location.pathname);

if (!token) {
  form.hidden = true;
  status.textContent = "This link is not complete. Open it as it stands in the mail.";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  status.textContent = "";
  try {
    const response = await fetch(form.dataset.path, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...Object.fromEntries(new FormData(form)), token }),
    });
    if (response.ok) {
      form.hidden = true;
      status.textContent = form.dataset.done;
    } else {
      status.textContent = (await response.json()).error;
    }
  } catch {
    status.textContent = "Conduit does not answer. Try again in a moment.";
  } finally {
    button.disabled = false;
  }
});
