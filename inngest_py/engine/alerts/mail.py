"""Send e-mail over SMTP: encrypted from the start (`smtps`), or as soon as the server can."""

import smtplib
import ssl
from datetime import timedelta
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from ...domain.alerts.messages import Mail

NO_SERVER = "e-mail needs a server that sends it: set INNGEST_SMTP_URL and INNGEST_SMTP_FROM"


def send(server: str | None, sender: str, mail: Mail, patience: timedelta) -> str | None:
    """Send a message; return what is wrong, or None once the server has accepted it.

    `server` is `smtp://` or `smtps://[USER:PASSWORD@]HOST[:PORT]`. `patience` bounds each answer of
    the server. A password is sent over an encrypted connection only.
    """
    if server is None or not sender:
        return NO_SERVER
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(mail.to), mail.subject
    message.set_content(mail.text)
    try:
        with _connected(server, patience.total_seconds()) as smtp:
            refused = smtp.send_message(message, sender, mail.to)
    except smtplib.SMTPResponseException as error:
        return f"the mail server refused: {error.smtp_code} {_text(error.smtp_error)}"
    except smtplib.SMTPRecipientsRefused as error:
        return f"the mail server refused {', '.join(sorted(error.recipients))}"
    except (smtplib.SMTPException, OSError) as error:
        return f"the mail server cannot be used: {error}"
    return f"the mail server refused {', '.join(sorted(refused))}" if refused else None


def _text(error: bytes | str) -> str:
    return error.decode("utf-8", "replace") if isinstance(error, bytes) else error


def _connected(server: str, seconds: float) -> smtplib.SMTP:
    """Connect and log in. Raises SMTPException and OSError."""
    parts, context = urlsplit(server), ssl.create_default_context()
    host = parts.hostname or ""
    smtp: smtplib.SMTP
    if parts.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(host, parts.port or 465, timeout=seconds, context=context)
    else:
        smtp = smtplib.SMTP(host, parts.port or 587, timeout=seconds)
    try:
        smtp.ehlo()
        is_encrypted = parts.scheme == "smtps"
        if not is_encrypted and smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
            is_encrypted = True
        if parts.username:
            if not is_encrypted:
                raise smtplib.SMTPException("it offers no encryption for the password")
            smtp.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        smtp.close()
        raise
    return smtp
