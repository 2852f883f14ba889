"""The models of logging in: `/login`, `/api/people`, `/api/account`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.access import RoleName
from gateway.http.api.schemas import NULLABLE, Body, RoleWish, SessionWish, Success, Time

Sessions = Literal["*"] | list[int]
SessionsOfPerson = Literal["*"] | list[SessionWish]


class LoginFields(Body):
    """The ticket of a login link, or a name and a password."""

    model_config = ConfigDict(extra="ignore")  # a form may send more

    ticket: str = Field("", description="From the login link.", examples=["q3Vx…"])
    name: str = Field("", examples=["Ann"])
    password: str | None = Field(None, examples=["correct horse battery"])


class LoginQuery(Body):
    ticket: str = Field("", description="Instead of the body.")


class LoginData(BaseModel):
    expires_at: float = Field(description="Unix seconds.", examples=[1795000000])


class LoginReply(Success[LoginData]):
    pass


class NewPerson(Body):
    name: str = Field(min_length=1, max_length=100, examples=["Ann"])
    role: RoleWish = Field(examples=["agent"])
    sessions: SessionsOfPerson = Field("*", description="Left out: your own.", examples=[[12]])
    password: str | None = Field(
        None,
        min_length=8,
        max_length=1000,
        json_schema_extra=NULLABLE,
        description="Left out: the person cannot log in by password yet.",
        examples=["correct horse battery"],
    )


class PersonFields(Body):
    """Only what is sent changes. A new password, and `disabled`, end every login of the person."""

    name: str | None = Field(None, min_length=1, max_length=100, examples=["Ann"])
    role: RoleWish | None = Field(None, examples=["agent"])
    sessions: SessionsOfPerson | None = Field(None, examples=[[12]])
    password: str | None = Field(
        None, min_length=8, max_length=1000, examples=["correct horse battery"], json_schema_extra=NULLABLE
    )
    disabled: bool | None = Field(None, examples=[False])


class PersonData(BaseModel):
    id: int = Field(examples=[7])
    sub: str = Field(description="Whose messages and logins these are.", examples=["user:7"])
    name: str = Field(examples=["Ann"])
    role: RoleName
    sessions: Sessions = Field(description="`*` means all.", examples=[[12]])
    disabled_at: Time | None = Field(examples=[None])
    has_password: bool = Field(examples=[True])
    created_at: Time | None


class PersonReply(Success[PersonData]):
    pass


class LoginLink(BaseModel):
    path: str = Field(description="To be put behind the gateway's address.", examples=["/login?ticket=…"])
    expires_in_s: int = Field(examples=[3600])


class LoginLinkReply(Success[LoginLink]):
    pass


class PeopleReply(Success[list[PersonData]]):
    pass


class LoginRow(BaseModel):
    id: str = Field(examples=["6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11"])
    address: str | None = Field(examples=["203.0.113.7"])
    agent: str | None = Field(description="What the browser calls itself.", examples=["Mozilla/5.0 …"])
    created_at: Time | None
    seen_at: Time | None = Field(description="To the minute.")
    ends_at: Time | None
    is_current: bool = Field(description="The login that asks.", examples=[True])


class LoginListReply(Success[list[LoginRow]]):
    pass


class EndedData(BaseModel):
    ended: int = Field(description="How many logins.", examples=[2])


class EndedReply(Success[EndedData]):
    pass


class PasswordFields(Body):
    current_password: str = Field(examples=["correct horse battery"])
    new_password: str = Field(min_length=8, max_length=1000, examples=["another horse battery"])
